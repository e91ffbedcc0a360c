"""Read single files of a root file system that something untrusted wrote.

No symbolic link is followed, in any component of a path: a link may lead out of the root. Only regular files are read,
with a limit each; pipes and devices are never opened for reading.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from snapproxy.errors import ClientError
from snapproxy.formats.time_evidence.dates import accepted

MOST_NAMES = 50_000
"""Maximum number of names that are read of one folder."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class RootFiles(Protocol):
    """The files of a root, by paths without a leading slash. The methods block."""

    notes: list[str]
    """Sentences about files that exist and were not read."""

    def read(self, path: str, most: int) -> bytes | None:
        """Return a regular file of at most `most` bytes; None, with a note unless it is missing, for any other."""

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in a folder, at most `MOST_NAMES`; none if it is not a folder."""

    def modified(self, path: str) -> int | None:
        """Return the time of change of a regular file in seconds; None for any other file, or for an absurd year."""


class RootFolder:
    """A root in a folder; implements `RootFiles`. Raises ClientError if it is not a folder that can be read."""

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        try:
            # The user names this folder, so it may be a link itself.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ClientError("The root cannot be read", why=f"{path}: {error.strerror}.") from error

    def close(self) -> None:
        """Release the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, path: str, most: int) -> bytes | None:
        def content(descriptor: int) -> bytes | None:
            size = os.fstat(descriptor).st_size
            if size > most:
                self.notes.append(f"{path} has {size} bytes and was not read; the limit is {most}.")
                return None
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read(most + 1)
            return data if len(data) <= most else None

        return self._with_file(path, content)

    def names(self, folder: str) -> list[str]:
        with suppress(OSError), self._folder(folder.split("/")) as descriptor, os.scandir(descriptor) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(MOST_NAMES), strict=False))
        return []

    def modified(self, path: str) -> int | None:
        *folders, name = path.split("/")
        with suppress(OSError), self._folder(folders) as parent:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            return accepted(found.st_mtime) if stat.S_ISREG(found.st_mode) else None
        return None

    def _with_file(self, path: str, use: Callable[[int], bytes | None]) -> bytes | None:
        *folders, name = path.split("/")
        try:
            with self._folder(folders) as parent:
                # The kind is known before the file is opened: to open a device may have effects.
                if not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                    self.notes.append(f"{path} is a link or a special file and was not read.")
                    return None
                descriptor = os.open(name, _FILE, dir_fd=parent)
                try:
                    if stat.S_ISREG(os.fstat(descriptor).st_mode):
                        return use(descriptor)
                finally:
                    os.close(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.notes.append(f"{path} was not read: {error.strerror}.")
        return None

    @contextmanager
    def _folder(self, names: list[str]) -> Iterator[int]:
        """Open a folder below the root, component by component."""
        descriptor = os.dup(self._descriptor)
        try:
            for name in names:
                if name in {"", ".", ".."}:
                    raise FileNotFoundError(name)
                below = os.open(name, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)
