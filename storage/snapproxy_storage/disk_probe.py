"""Check whether the disks of a store take bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Sequence

from snapproxy_storage.drafts import LocalDrafts
from snapproxy_storage.failures import os_failure
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.threads import Threads

_ROOM = 1 << 20
"""Bytes that must be available: indexes of this size are common, and a catalog needs less."""


class DiskProbe:
    """Writes to each file system of a store."""

    def __init__(self, folders: Sequence[OpenFolder], drafts: LocalDrafts, threads: Threads) -> None:
        self._folders = folders
        self._drafts = drafts
        self._threads = threads

    async def fault(self) -> str:
        """Return a description of the first fault, '' if bytes can be stored everywhere.

        A download that did not fit recently counts as well: it may be longer than the free space.
        """
        loop = asyncio.get_running_loop()
        for folder in self._folders:
            try:
                await loop.run_in_executor(self._threads.disk, _write, folder)
            except OSError as error:
                return str(os_failure(f"cannot write to {folder.path}", error))
        if self._drafts.is_recently_full():
            return f"a download did not fit on the disk of {self._folders[0].path}; free some space on that file system"
        return ""


def _write(folder: OpenFolder) -> None:
    """Reserve and write a file, which is removed again. Raises OSError."""
    name = f"probe-{secrets.token_hex(8)}"
    fd = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        os.posix_fallocate(fd, 0, _ROOM)
        os.pwrite(fd, bytes(4096), 0)
        os.fdatasync(fd)
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            folder.remove(name)
