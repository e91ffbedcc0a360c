"""Why stored files are protected from removal, and the figures of a store's files by cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Cause(IntEnum):
    """Why a file is not removed. A file with several causes counts for the first of them."""

    CAPTURE = 1
    """A capture, open or closed, was served the file."""
    PIN = 2
    """A pin names the file, its snapshot, or an index of a pinned root."""
    OBSERVED = 3
    """An observation of an archive without a snapshot service: the only copy of that past."""
    LIVE = 4
    """A root that was served live lately, or one of its indexes: one set of the present."""

    @property
    def word(self) -> str:
        """The cause in reports."""
        return _WORDS[self]


_WORDS = {
    Cause.CAPTURE: "captures",
    Cause.PIN: "pins",
    Cause.OBSERVED: "observed",
    Cause.LIVE: "live",
}


@dataclass(frozen=True, slots=True)
class FileFigures:
    """A number of files, and their bytes on disk."""

    files: int = 0
    size: int = 0

    def __add__(self, other: FileFigures) -> FileFigures:
        return FileFigures(self.files + other.files, self.size + other.size)
