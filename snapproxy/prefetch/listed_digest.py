"""Compare the bytes of a file with the size and the digest that a list states."""

from __future__ import annotations

import hashlib

from snapproxy.core.model import Checker, ExpectedFile, Family, Refusal
from snapproxy.formats.digests import HEX_LENGTH
from snapproxy.prefetch.model import WantedFile


class ListedFileCheck:
    """Compares one file with its entry in a list. Use: `update` with all bytes if `needs_bytes`, `difference`.

    A digest is compared with one of the same kind only; `is_known` is False if no digest of that kind can be computed.
    """

    def __init__(self, wanted: WantedFile, family: Family) -> None:
        self._wanted = wanted
        self._algorithm, _, self._value = wanted.digest.partition(":")
        is_plain = self._algorithm in HEX_LENGTH and self._algorithm != "sha256"
        self._hash = hashlib.new(self._algorithm, usedforsecurity=False) if is_plain else None
        is_other = bool(wanted.digest) and self._algorithm not in HEX_LENGTH
        self._checker = _checker_of_family(wanted, family) if is_other else None

    @property
    def is_known(self) -> bool:
        """Whether the listed digest, if there is one, can be compared."""
        return not self._wanted.digest or self._algorithm == "sha256" or self.needs_bytes

    @property
    def needs_bytes(self) -> bool:
        """Whether the bytes have to be read: the SHA-256 of a stored file is known without that."""
        return self._hash is not None or self._checker is not None

    def update(self, data: bytes) -> None:
        """Take the next bytes of the file."""
        if self._hash is not None:
            self._hash.update(data)
        if self._checker is not None:
            self._checker.update(data)

    def difference(self, size: int, sha256: str) -> Refusal | None:
        """Return the refusal for a file of this size and digest that differs from the list, otherwise None."""
        wanted = self._wanted
        if not self.is_known:
            return _refusal(
                wanted, f"the list says {wanted.digest}, and {self._algorithm} cannot be computed of a file"
            )
        if wanted.size is not None and wanted.size != size:
            return _refusal(wanted, f"the list says {wanted.size} bytes, the archive has {size}")
        actual = sha256 if self._algorithm == "sha256" else "" if self._hash is None else self._hash.hexdigest()
        if actual and actual != self._value:
            listed = f"{self._algorithm}:{self._value}"
            return _refusal(wanted, f"the list says {listed}, the archive has {self._algorithm}:{actual}")
        if self._checker is not None and (text := self._checker.finish()):
            return _refusal(wanted, f"the list says {wanted.digest}, the archive has another file: {text}")
        return None


def _checker_of_family(wanted: WantedFile, family: Family) -> Checker | None:
    """Return the checker of a digest of the family's own kind (apk's of the control part), None if it has no such kind.

    A checker ignores digests of an unknown kind, so it would accept no bytes at all.
    """
    algorithm, _, value = wanted.digest.partition(":")
    expected = ExpectedFile(wanted.path, None, {algorithm: value})
    return None if family.checker(expected).finish() is None else family.checker(expected)


def _refusal(wanted: WantedFile, difference: str) -> Refusal:
    return Refusal(
        424,
        "The file differs from the one in the list",
        f"{wanted.path} of {wanted.archive.name} at {wanted.when.text}: {difference}.",
        "Check the time and the archive that the list was made for. The file was not recorded.",
    )
