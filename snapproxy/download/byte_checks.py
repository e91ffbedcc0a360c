"""Sees every byte of a download pass, for what the store does not hash by itself: other digests than sha256, and roots as a whole.

It is shown the bytes on the writer thread, and asked by the download when they have all been seen.
"""

from __future__ import annotations

import hashlib

from snapproxy.core.model import Checker, ExpectedFile, Family
from snapproxy_storage import Sealed

MAX_ROOT = 64 << 20
"""Bytes of a root; Debian's largest is below 1 MiB."""


class ByteChecks:
    """One draft's checks. `keeps_all`: the bytes are a root's, and a judge will want to read them."""

    def __init__(self, expected: ExpectedFile | None, family: Family, *, keeps_all: bool) -> None:
        self._promise = expected
        self._checker: Checker | None = None
        if expected is not None and "sha256" not in expected.digests:  # else the store's own hash tells
            self._checker = family.checker(expected)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._keeps_all = keeps_all
        self._kept = bytearray()
        self.named_sha1 = ""
        """What the address that the first byte came from says the whole file hashes to."""

    @property
    def kept(self) -> bytes:
        """The whole root."""
        return bytes(self._kept)

    def see(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._checker is not None:
            self._checker.update(data)
        if self.named_sha1:
            self._sha1.update(data)
        if self._keeps_all and len(self._kept) <= MAX_ROOT:
            self._kept += data

    def objection(self, sealed: Sealed) -> str | None:
        """Return what differs from what was promised, in a few words of ours; None when nothing does."""
        expected = self._promise
        if expected is not None and expected.size not in (None, sealed.size):
            return "size differs"
        if expected is not None and expected.digests.get("sha256", sealed.digest) != sealed.digest:
            return "sha256 differs"
        if self._checker is not None and (words := self._checker.finish()) is not None:
            return words
        return "sha1 differs" if self.named_sha1 and self._sha1.hexdigest() != self.named_sha1 else None
