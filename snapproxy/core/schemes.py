"""How the roots of a family are signed: values that the family gives, and the shell obeys when it checks a root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seal:
    """A raw RSA signature (PKCS#1 v1.5) that a root carries inside: by the public key in the file named `key`, over `hash` of data[start:]."""

    key: str
    hash: str
    signature: bytes
    start: int


@dataclass(frozen=True, slots=True)
class OpenPgp:
    """Roots are signed by OpenPGP: clear-signed, or detached (`Family.signature`). Keyrings are files of OpenPGP keys."""


@dataclass(frozen=True, slots=True)
class RawRsa:
    """Roots carry raw RSA signatures. Keyrings are PEM files of public keys, or folders of them: a key is known by its file's name.

    `seals(path, data)` reads them from a root; () when it is not signed, None when its signature is of a kind that cannot be read.
    It raises ArchiveDataError when anything that is not a signature stands before the signed bytes.
    """

    seals: Callable[[str, bytes], tuple[Seal, ...] | None]


Scheme = OpenPgp | RawRsa
"""How the roots of a family are signed."""
