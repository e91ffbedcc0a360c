"""Digests as indexes write them: the supported algorithms, their lengths, and a checker for streamed bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from snapproxy.errors import ArchiveDataError

HEX_LENGTH: Mapping[str, int] = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
"""The supported algorithms, strongest first, and the length of their digests in hex digits.

These are all that the formats define (createrepo_c has the longest list). An entry with only another kind is dropped.
"""

_HEX = re.compile(r"[0-9a-f]+")


def is_digest(algorithm: str, text: str) -> bool:
    """Return whether `text` has the form of a lower-case hex digest of `algorithm`."""
    return len(text) == HEX_LENGTH.get(algorithm) and _HEX.fullmatch(text) is not None


def digest(algorithm: str, text: str) -> str:
    """Return the digest in lower case. Raises ArchiveDataError if `text` is not a digest of `algorithm`."""
    lower = text.lower()
    if not is_digest(algorithm, lower):
        raise ArchiveDataError("An index has a malformed digest", why=f"Not a hex {algorithm}: {text[:140]!r}")
    return lower


class DigestChecker:
    """Check streamed bytes against a size (None: unknown) and digests; implements `core.model.Checker`.

    Every digest must match, as in apt. The error text names the strongest digest that differs.
    """

    def __init__(self, size: int | None, digests: Mapping[str, str]) -> None:
        self._expected_size = size
        self._size = 0
        self._hashes = [
            (name, digests[name], hashlib.new(name, usedforsecurity=False)) for name in HEX_LENGTH if name in digests
        ]

    def update(self, data: bytes | memoryview) -> None:
        self._size += memoryview(data).nbytes
        for _, _, running in self._hashes:
            running.update(data)

    def finish(self) -> str | None:
        if self._expected_size is not None and self._size != self._expected_size:
            return "size differs"
        for name, expected, running in self._hashes:
            if running.hexdigest() != expected:
                return f"{name} differs"
        return None
