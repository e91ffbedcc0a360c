"""How the roots of a family are signed: values that the family gives, and the shell obeys when it checks a root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawSignature:
    """A raw signature that a root carries inside: PKCS#1 v1.5 by an RSA key, over `hash` of the bytes `signed`.

    `key` is the name of the file that the public key is in. With `by_id` it is the key's own: the first 16 bytes, in hex, of the sha512
    of its public half as PKCS#1 has it; then the key may be one of an elliptic curve too (its point, and ECDSA).
    """

    key: str
    hash: str
    signature: bytes
    signed: bytes
    by_id: bool = False


@dataclass(frozen=True, slots=True)
class OpenPgp:
    """Roots are signed by OpenPGP: clear-signed, or detached (`Family.signature`). Keyrings are files of OpenPGP keys."""


@dataclass(frozen=True, slots=True)
class RawSignatures:
    """Roots carry raw signatures. Keyrings are PEM files of public keys, or folders of them.

    `seals(path, data)` reads them from a root; () when it is not signed.
    It raises ArchiveDataError when anything that is not a signature stands outside the signed bytes.
    """

    seals: Callable[[str, bytes], tuple[RawSignature, ...]]


Scheme = OpenPgp | RawSignatures
"""How the roots of a family are signed."""
