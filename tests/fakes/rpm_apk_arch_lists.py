"""The sample lists of rpm, apk and pacman, and what readers make of bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapproxy.formats.package_lists.known import FORMATS, read_list
from snapproxy.formats.package_lists.model import ListFormat, ListFormatError

SAMPLES = Path("tests/data/package_lists")
FOLDERS = ("apk", "apko", "dnf", "konflux", "pacman", "rpm", "rpm-ostree")
CONTENTS = {
    path.relative_to(SAMPLES).as_posix(): path.read_bytes() for each in FOLDERS for path in (SAMPLES / each).iterdir()
}
"""The bytes of each sample, by its path."""


def refusal(data: bytes) -> ListFormatError:
    """Return the error for a list that is refused."""
    with pytest.raises(ListFormatError) as refused:
        read_list(data)
    return refused.value


def accepts(each: ListFormat, data: bytes) -> bool:
    """Return whether a format accepts a list. No other error than ListFormatError is allowed."""
    try:
        each.read(data)
    except ListFormatError:
        return False
    return True


def own_format(data: bytes) -> ListFormat:
    """Return the first format that accepts a list."""
    return next(each for each in FORMATS if accepts(each, data))
