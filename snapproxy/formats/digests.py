"""Digests as indexes write them: which there are, how long they are, and checking bytes against them as they pass."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from snapproxy.errors import ArchiveDataError

HEX_LENGTH: Mapping[str, int] = {"sha512": 128, "sha256": 64, "sha1": 40, "md5": 32}
"""Every algorithm we compute and its length in hex digits, strongest first."""

_HEX = re.compile(r"[0-9a-f]+")


def is_digest(algorithm: str, text: str) -> bool:
    """Whether `text` could be a digest by `algorithm`, in lower case."""
    return len(text) == HEX_LENGTH.get(algorithm) and _HEX.fullmatch(text) is not None


def digest(algorithm: str, text: str) -> str:
    """Return the digest in lower case; raise ArchiveDataError when it is none."""
    lower = text.lower()
    if not is_digest(algorithm, lower):
        raise ArchiveDataError("An index gives a malformed digest", why=f"This is no {algorithm}: {text[:140]!r}")
    return lower


class DigestChecker:
    """Judges bytes by their size (None: not known) and by every digest given; fulfils `core.model.Checker`.

    All must agree, as apt has it; the words name the strongest digest that does not.
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
