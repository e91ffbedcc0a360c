"""Read the lists that the command line names: files, folders of package databases, or stdin."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from snapproxy.errors import ConfigurationError
from snapproxy.formats.package_lists.model import LARGEST

STDIN = "-"
MOST_FILES = 50_000
"""Maximum number of files of a folder: a package database has one for each installed package."""

_DESCRIPTION = "desc"
"""The file that describes a package in pacman's database of installed packages."""


def read_source(name: str) -> bytes:
    """Return the content of a list. A folder is the concatenation of its descriptions of packages.

    Folders: pacman's `local`, with a folder for each package, and dpkg's `status.d`, with a file for each package.
    Raises ConfigurationError if it cannot be read, or has more than `LARGEST` bytes.
    """
    if name == STDIN:
        return _bounded(name, sys.stdin.buffer.read(LARGEST + 1))
    path = Path(name)
    try:
        data = b"\n\n".join(_of_folder(path)) if path.is_dir() else _read(path)
    except OSError as error:
        raise ConfigurationError("The list cannot be read", why=f"{name}: {error.strerror}") from error
    return _bounded(name, data)


def _of_folder(folder: Path) -> Iterator[bytes]:
    """Yield the descriptions in a folder, in the order of their names. Links are skipped: a root may be hostile."""
    size = 0
    for count, entry in enumerate(sorted(os.scandir(folder), key=lambda each: each.name)):
        if count >= MOST_FILES:
            raise ConfigurationError(
                "The folder has too many entries", why=f"{folder} has more than {MOST_FILES}.", hint="Name a file."
            )
        path = Path(entry.path, _DESCRIPTION) if entry.is_dir(follow_symlinks=False) else Path(entry.path)
        if entry.is_symlink() or not _is_file(path) or path.name.endswith(".md5sums"):
            continue
        data = _read(path)
        size += len(data)
        yield data.strip()
        if size > LARGEST:
            return  # the caller refuses the list


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _bounded(name: str, data: bytes) -> bytes:
    if len(data) > LARGEST:
        raise ConfigurationError("The list is too large", why=f"{name} has more than {LARGEST} bytes.")
    return data
