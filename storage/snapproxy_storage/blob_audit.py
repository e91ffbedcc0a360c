"""Hash stored blobs from the disk at a low priority, and move damaged ones to the quarantine."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import heapq
import logging
import os
import platform
import stat
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from snapproxy_storage.audit_protocols import AuditedBlob, BlobState, FileCount, Pace
from snapproxy_storage.blobs import LocalBlobs
from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import QUARANTINE, is_digest
from snapproxy_storage.open_folder import NOT_A_FILE, OpenFolder

_log = logging.getLogger(__name__)
T = TypeVar("T")

PIECE = 1 << 20
"""Bytes that are read at once: the rate is exact to this."""

QUARANTINE_BYTES = 256 << 20
QUARANTINE_FILES = 64
"""Limits of the quarantine. Its files are for a person who examines the disk; a longer file is removed at once."""

_SYSCALL_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
"""The number of ioprio_set(2), for which the C library has no function."""

_THIS_THREAD = 1, 0
_IDLE = 3 << 13
_NICEST = 19


def lower_priority() -> None:
    """Give the calling thread the lowest priority for the processor and the disk (nice(2), ioprio_set(2))."""
    # A service may be forbidden both calls, and memory for ctypes: it then reads at the priority of its unit.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICEST)
    number = _SYSCALL_IOPRIO_SET.get(platform.machine())
    if number is not None:
        with contextlib.suppress(OSError, MemoryError):
            ctypes.CDLL(None).syscall(number, *_THIS_THREAD, _IDLE)


class BlobAudit:
    """Hashes the blobs of one store."""

    def __init__(self, state: OpenFolder, blobs: LocalBlobs) -> None:
        self._state = state
        self._blobs = blobs
        self.thread = ThreadPoolExecutor(1, "storage-audit", initializer=lower_priority)

    async def digests(self, after: str, most: int) -> Sequence[str]:
        """Return the first digests after one."""

        def listed() -> list[str]:
            with self._blobs.folder.entries() as entries:
                later = (entry.name for entry in entries if entry.name > after and is_digest(entry.name))
                return heapq.nsmallest(most, later)

        return await self._run(listed)

    async def check(self, digest: str, pace: Pace) -> AuditedBlob:
        """Hash a blob, and move it to the quarantine if it is damaged."""
        folder = self._blobs.folder
        try:
            fd = await self._run(lambda: folder.open(digest, os.O_RDONLY))
        except FileNotFoundError:
            return AuditedBlob(BlobState.ABSENT, 0)
        except OSError as error:
            if error.errno not in NOT_A_FILE:
                raise os_failure(f"cannot read the blob {folder.path / digest}", error) from error
            await self._blobs.remove(digest, damaged=True)  # a link, a pipe: it has no bytes to keep
            return AuditedBlob(BlobState.DAMAGED, 0)
        try:
            read, is_right = await self._hash(fd, digest, pace)
            is_moved = not is_right and await self._set_apart(digest, fd)
        finally:
            os.close(fd)
        if is_right:
            return AuditedBlob(BlobState.INTACT, read)
        return AuditedBlob(BlobState.DAMAGED if is_moved else BlobState.ABSENT, read)

    async def _hash(self, fd: int, digest: str, pace: Pace) -> tuple[int, bool]:
        """Return the bytes that were read, and whether their SHA-256 is the digest. An unreadable sector is damage."""
        running, offset, size = hashlib.sha256(), 0, os.fstat(fd).st_size
        while offset < size:
            await pace(min(PIECE, size - offset))
            try:
                piece = await self._run(partial(_from_disk, fd, offset))
            except OSError as error:
                _log.error("%s", os_failure(f"cannot read the blob {self._blobs.folder.path / digest}", error))
                return offset, False
            if not piece:
                break
            await self._run(partial(running.update, piece))
            offset += len(piece)
        return offset, running.hexdigest() == digest and stat.S_ISREG(os.fstat(fd).st_mode)

    async def _set_apart(self, digest: str, fd: int) -> bool:
        """Move a damaged blob to the quarantine. Return False if another file has replaced it meanwhile."""
        try:
            quarantine = await self._run(lambda: self._state.sub(QUARANTINE))
            try:
                if not await self._blobs.move_damaged(digest, fd, quarantine):
                    return False
                await self._run(lambda: _bound(quarantine))
            finally:
                quarantine.close()
        except OSError as error:
            raise os_failure(f"cannot move the damaged blob {digest} to the quarantine", error) from error
        return True

    async def quarantined(self) -> FileCount:
        """Return the files in the quarantine."""

        def count() -> FileCount:
            if not self._state.has(QUARANTINE):
                return FileCount(0, 0)
            folder = self._state.sub(QUARANTINE)
            try:
                sizes = [size for name in folder.names() if (size := folder.size_of_file(name)) is not None]
            finally:
                folder.close()
            return FileCount(len(sizes), sum(sizes))

        return await self._run(count)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)


def _from_disk(fd: int, offset: int) -> bytes:
    """Read a piece from the disk: a copy in memory would hide that the disk has other bytes by now."""
    os.posix_fadvise(fd, offset, PIECE, os.POSIX_FADV_DONTNEED)
    piece = os.pread(fd, PIECE, offset)
    os.posix_fadvise(fd, offset, PIECE, os.POSIX_FADV_DONTNEED)  # clients' files keep their place in memory
    return piece


def _bound(quarantine: OpenFolder) -> None:
    """Remove the oldest files of the quarantine until the others are within its limits."""
    files = sorted(
        ((quarantine.stat(name), name) for name in quarantine.names()), key=lambda each: -each[0].st_ctime_ns
    )
    kept = 0
    for place, (status, name) in enumerate(files):
        kept += status.st_size
        if kept > QUARANTINE_BYTES or place >= QUARANTINE_FILES:
            quarantine.set_aside(name)
