"""A folder with an open descriptor: replacing a parent folder has no effect, and symbolic links are not followed.

`layout` defines the folders of the store; this module contains only paths and permissions.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from snapproxy_storage.failures import os_failure

_log = logging.getLogger(__name__)

_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""The flags prevent that a symbolic link is followed, that child processes inherit a descriptor, and that opening a
named pipe waits for its other end. O_NONBLOCK has no effect on regular files.
"""

NOT_A_FILE = (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR)
"""The errors of opening an entry that is not a regular file: a symbolic link, a socket, a device or a folder."""


_TRIES = 5


class OpenFolder:
    """An open folder. A method takes the name of one entry of the folder and raises OSError like the system call."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    def __repr__(self) -> str:
        return f"Folder({str(self.path)!r})"

    @classmethod
    def root(cls, path: Path) -> OpenFolder:
        """Open the folder at `path`; create it with mode 0700 if it is missing. Raises StorageFailure.

        This is the only function that follows symbolic links.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            real = path.resolve(strict=True)
            fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise os_failure(f"cannot use the folder {path}", error) from error
        if not os.access(real, os.W_OK | os.X_OK, effective_ids=True):
            read_only = os.fstatvfs(fd).f_flag & os.ST_RDONLY
            os.close(fd)
            raise os_failure(
                f"cannot write to the folder {path}", OSError(errno.EROFS if read_only else errno.EACCES, "")
            )
        return cls(real, fd)

    def sub(self, name: str) -> OpenFolder:
        """Open the folder `name` in this one; create it with mode 0700 if missing.

        Raises StorageFailure, including for a symbolic link.
        """
        path = self.path / name
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.fd)
            fd = self.open(name, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise os_failure(f"cannot use the folder {path}", error) from error
        return OpenFolder(path, fd)

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Return a descriptor of `name`. Raises ELOOP for a symbolic link. Child processes do not inherit it."""
        return os.open(name, flags | _SAFELY, mode, dir_fd=self.fd)

    def opener(self) -> Callable[[str], int]:
        """Return a function that opens an entry for reading, as `open` does, without an intermediate Python call."""
        return functools.partial(os.open, flags=os.O_RDONLY | _SAFELY, dir_fd=self.fd)

    def stat(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def open_file(self, name: str, flags: int) -> int:
        """Return a descriptor of the regular file `name`. Any other entry of that name is set aside first.

        Nothing but snapproxy writes into its folders, so the other entry is damage.
        """
        for _ in range(_TRIES):
            try:
                fd = self.open(name, flags)
            except OSError as error:
                if error.errno not in NOT_A_FILE:
                    raise
            else:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    return fd
                os.close(fd)
            _log.error("%s is not a regular file and is set aside", self.path / name)
            self.set_aside(name)
        raise OSError(errno.ELOOP, "")

    def has(self, name: str) -> bool:
        """Return whether there is an entry `name`, of any type."""
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def size_of_file(self, name: str) -> int | None:
        """Return the size of the regular file `name`, None if there is none."""
        try:
            status = self.stat(name)
        except FileNotFoundError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def is_still(self, name: str, fd: int) -> bool:
        """Return whether `name` still refers to the open file `fd`."""
        try:
            named, opened = self.stat(name), os.fstat(fd)
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def remove(self, name: str) -> None:
        """Unlink `name`. No error if it is absent."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def set_aside(self, name: str) -> None:
        """Remove the entry `name`, of any type. A folder with content is renamed, because it may be of value."""
        try:
            self.remove(name)
        except (IsADirectoryError, PermissionError):  # the second is the answer of POSIX for a folder
            try:
                os.rmdir(name, dir_fd=self.fd)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                self.rename(name, self, f"{name}.not-a-file-{secrets.token_hex(4)}")

    def rename(self, name: str, to: OpenFolder, new_name: str) -> None:
        """Rename `name`, replacing an existing file at the new name."""
        os.rename(name, new_name, src_dir_fd=self.fd, dst_dir_fd=to.fd)

    def names(self) -> list[str]:
        """Return the names of all entries. Several threads may list a folder at a time."""
        with self.entries() as found:
            return [each.name for each in found]

    @contextlib.contextmanager
    def entries(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        """Provide the entries one by one, in any order: `names` would hold a million of them in memory."""
        # A descriptor of its own: duplicates share one position, so two listings at a time would disturb each other.
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            with os.scandir(fd) as entries:
                yield entries
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Flush the folder, so that renames and removals survive a power cut."""
        os.fsync(self.fd)

    def close(self) -> None:
        os.close(self.fd)
