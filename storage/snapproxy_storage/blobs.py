"""Blobs as local files named by their SHA-256.

This module only reads and removes them: `draft_files` creates a blob by renaming a draft.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator

from snapproxy_storage.epoch import Epoch
from snapproxy_storage.failures import os_failure
from snapproxy_storage.file_reading import read_pieces
from snapproxy_storage.layout import blob_name, is_digest
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Meta
from snapproxy_storage.threads import Threads


class LocalBlob:
    """An open blob. It stays readable after its file is removed, because the descriptor keeps the bytes."""

    def __init__(self, fd: int, digest: str, size: int) -> None:
        self._fd = fd
        self._digest = digest
        self._size = size

    def __repr__(self) -> str:
        return f"LocalBlob({self._digest}, size={self._size})"

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def size(self) -> int:
        return self._size

    @property
    def meta(self) -> Meta:
        return Meta()

    def fileno(self) -> int | None:
        return self._fd

    async def wait(self, offset: int) -> int:  # noqa: ARG002 - a blob is complete at any offset
        return self._size

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        return read_pieces(self._fd, start, min(stop, self._size))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LocalBlobs:
    """The folder of blobs."""

    def __init__(self, folder: OpenFolder, epoch: Epoch, threads: Threads) -> None:
        self.folder = folder
        self._open = folder.opener()
        self._epoch = epoch
        self._threads = threads

    def peek(self, digest: str) -> LocalBlob | None:
        name = blob_name(digest)
        try:
            fd = self._open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise os_failure(f"cannot open the blob {self.folder.path / name}", error) from error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            return None
        return LocalBlob(fd, digest, status.st_size)

    async def open(self, digest: str) -> LocalBlob | None:
        return self.peek(digest)

    async def remove(self, digest: str) -> None:
        def unlink() -> None:
            self.folder.remove(blob_name(digest))
            self._epoch.bump()

        try:
            await asyncio.get_running_loop().run_in_executor(self._threads.disk, unlink)
        except OSError as error:
            raise os_failure(f"cannot remove the blob {self.folder.path / digest}", error) from error

    def digests(self) -> Iterator[str]:
        yield from sorted(filter(is_digest, self.folder.names()))
