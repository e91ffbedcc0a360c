"""A folder with an open descriptor: replacing a parent folder has no effect, and symbolic links are not followed.

`layout` defines the folders of the store; this module contains only paths and permissions.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path

from snapproxy_storage.failures import os_failure

_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC
"""The flags prevent that a symbolic link is followed, and that child processes inherit a descriptor."""


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

    def rename(self, name: str, to: OpenFolder, new_name: str) -> None:
        """Rename `name`, replacing an existing file at the new name."""
        os.rename(name, new_name, src_dir_fd=self.fd, dst_dir_fd=to.fd)

    def names(self) -> list[str]:
        return os.listdir(self.fd)  # noqa: PTH208 - by descriptor, which pathlib cannot

    def sync(self) -> None:
        """Flush the folder, so that renames and removals survive a power cut."""
        os.fsync(self.fd)

    def close(self) -> None:
        os.close(self.fd)
