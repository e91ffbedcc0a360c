"""Signature schemes of roots: values that a family returns and `trust` uses when it checks a root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawSignature:
    """A raw signature inside a root: PKCS#1 v1.5 by an RSA key, over `hash` of the bytes `signed`.

    `key` is the file name of the public key. With `by_id` it is the id of the key: the first 16 bytes, in hex, of the
    sha512 of its public half in PKCS#1 form; then the key may also be an elliptic curve key (its point, and ECDSA).
    """

    key: str
    hash: str
    signature: bytes
    signed: bytes
    by_id: bool = False


@dataclass(frozen=True, slots=True)
class OpenPgp:
    """Roots are signed with OpenPGP: clear-signed, or detached (`Family.signature`).

    Keyrings are files of OpenPGP keys.
    """


@dataclass(frozen=True, slots=True)
class RawSignatures:
    """Roots contain raw signatures. Keyrings are PEM files of public keys, or folders of them.

    `seals(path, data)` reads them from a root; () if it is not signed. It raises ArchiveDataError if anything but
    signatures precedes or follows the signed bytes.
    """

    seals: Callable[[str, bytes], tuple[RawSignature, ...]]


Scheme = OpenPgp | RawSignatures
"""The signature scheme of a family's roots."""
