"""Blobs as local files named by their SHA-256.

This module only reads and removes them: `draft_files` creates a blob by renaming a draft.

Damage is detected without reading every file each time. The catalog has the identity of each verified file: inode,
size, and the times of its last modification and last change. The kernel changes one of them with the content. A file
whose identity differs is hashed before its bytes are used: it is damaged and removed, or it is a restored copy, and its
new identity is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import stat
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence

from snapproxy_storage.blob_check import Identity, check_file
from snapproxy_storage.catalog import LocalCatalog
from snapproxy_storage.epoch import Epoch
from snapproxy_storage.eviction import EvictionLock, has_readers
from snapproxy_storage.failures import os_failure
from snapproxy_storage.file_reading import read_pieces
from snapproxy_storage.layout import blob_name, is_digest
from snapproxy_storage.open_folder import NOT_A_FILE, OpenFolder
from snapproxy_storage.protocols import Meta, StorageFailure
from snapproxy_storage.served_times import LocalServedTimes
from snapproxy_storage.space_account import SpaceAccount
from snapproxy_storage.space_count import size_on_disk
from snapproxy_storage.space_protocols import Evicted, StoredBlob, blocks
from snapproxy_storage.threads import Threads

_log = logging.getLogger(__name__)

_BATCH = 500
"""Number of blobs whose times are read from the catalog at once."""

_MEMORISED = 16_384
"""Maximum number of identities in memory (about 400 bytes each); the others are read from the catalog."""


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

    def __init__(
        self,
        folder: OpenFolder,
        catalog: LocalCatalog,
        epoch: Epoch,
        account: SpaceAccount,
        served: LocalServedTimes,
        eviction: EvictionLock,
        threads: Threads,
    ) -> None:
        self.folder = folder
        self._account = account
        self._served = served
        self._eviction = eviction
        self.hold = eviction.hold
        self._open = folder.opener()
        self._catalog = catalog
        self._epoch = epoch
        self._threads = threads
        self._verified: dict[str, Identity] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}

    def peek(self, digest: str) -> LocalBlob | None:
        name = blob_name(digest)
        try:
            fd = self._open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in NOT_A_FILE:
                return None
            raise os_failure(f"cannot open the blob {self.folder.path / name}", error) from error
        status = os.fstat(fd)
        identity = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if identity != self._verified.get(digest) and not self._is_recorded(digest, identity):
            os.close(fd)
            return None
        return LocalBlob(fd, digest, status.st_size)

    async def open(self, digest: str) -> LocalBlob | None:
        while (blob := self.peek(digest)) is None and self.folder.has(blob_name(digest)):
            check = self._checks.get(digest)
            if check is None:
                check = self._checks[digest] = asyncio.create_task(self._check(digest))
                check.add_done_callback(lambda _: self._checks.pop(digest, None))
            await asyncio.shield(check)  # another process may store the blob again before the next look
        return blob

    def size(self, digest: str) -> int | None:
        return self.folder.size_of_file(blob_name(digest))

    def was_damaged(self, digest: str) -> bool:
        return digest not in self._verified and self._catalog.blob_identity(digest) == ""

    async def remove(self, digest: str, *, damaged: bool = False) -> int:
        name = blob_name(digest)

        def unlink() -> int:
            with self._account.changing(name):
                freed = size_on_disk(self.folder, name)
                self.folder.remove(name)
            self._epoch.bump()
            return freed

        try:
            freed = await asyncio.get_running_loop().run_in_executor(self._threads.disk, unlink)
        except OSError as error:
            raise os_failure(f"cannot remove the blob {self.folder.path / digest}", error) from error
        self._verified.pop(digest, None)
        self._served.forget(digest)
        if damaged:
            await self._store_identity(digest, "")
        else:
            self._catalog.forget_blob(digest)
        return freed

    async def evict(self, digests: Sequence[str], needed: Callable[[], Container[str] | None]) -> Evicted:
        def remove_all() -> Evicted:
            with self._eviction.alone():
                kept = needed()
                if kept is None:
                    return Evicted(is_stopped=True)
                removed = {digest: self._unlink(digest) for digest in digests if digest not in kept}
            self._epoch.bump()
            sizes, open_sizes = zip(*removed.values(), strict=True) if removed else ((), ())
            return Evicted(list(removed), sum(sizes), sum(open_sizes))

        try:
            evicted = await asyncio.get_running_loop().run_in_executor(self._threads.disk, remove_all)
        except OSError as error:
            raise os_failure(f"cannot remove blobs in {self.folder.path}", error) from error
        for digest in evicted.digests:
            self._verified.pop(digest, None)
            self._served.forget(digest)
            self._catalog.forget_blob(digest)
        return evicted

    def _unlink(self, digest: str) -> tuple[int, int]:
        """Remove a blob. Return its bytes on disk, and those of them that readers in any process still have open."""
        name = blob_name(digest)
        try:
            fd = self._open(name)
        except FileNotFoundError:
            return 0, 0
        try:
            with self._account.changing(name):
                size = size_on_disk(self.folder, name)
                self.folder.remove(name)
            return size, size if has_readers(fd) else 0
        finally:
            os.close(fd)

    async def move_damaged(self, digest: str, fd: int, to: OpenFolder) -> bool:
        """Move the blob's file, open as `fd`, out of the store because its bytes are wrong. Raises OSError.

        Return False, and leave everything, if another file has its name by now.
        """

        def move() -> bool:
            with self._account.changing(digest):
                if not self.folder.is_still(digest, fd):
                    return False
                self.folder.rename(digest, to, digest)
                self.folder.sync()
            self._epoch.bump()
            return True

        if not await asyncio.get_running_loop().run_in_executor(self._threads.disk, move):
            return False
        self._verified.pop(digest, None)
        await self._store_identity(digest, "")
        return True

    def digests(self) -> Iterator[str]:
        yield from sorted(filter(is_digest, self.folder.names()))

    def stored(self) -> Iterator[StoredBlob]:
        try:
            with self.folder.entries() as entries:
                names = (entry.name for entry in entries if is_digest(entry.name))
                while batch := list(itertools.islice(names, _BATCH)):
                    yield from self._described(batch)
        except OSError as error:
            raise os_failure(f"cannot list the blobs in {self.folder.path}", error) from error

    def _described(self, digests: Sequence[str]) -> Iterator[StoredBlob]:
        served = self._served.of(digests)
        for digest in digests:
            with contextlib.suppress(FileNotFoundError):  # removed in the meantime
                status = self.folder.stat(digest)
                at = served.get(digest, int(status.st_mtime))
                if stat.S_ISREG(status.st_mode):
                    yield StoredBlob(digest, blocks(status.st_size), at)

    def record(self, digest: str, identity: Identity) -> None:
        """Record the identity of a verified file. If the record is lost, the file is hashed once more."""
        self._memorise(digest, identity)
        self._catalog.note_blob(digest, _text(identity))

    def _is_recorded(self, digest: str, identity: Identity) -> bool:
        if self._catalog.blob_identity(digest) != _text(identity):
            return False
        self._memorise(digest, identity)
        return True

    def _memorise(self, digest: str, identity: Identity) -> None:
        if len(self._verified) >= _MEMORISED:
            self._verified.pop(next(iter(self._verified)))
        self._verified[digest] = identity

    async def _check(self, digest: str) -> None:
        """Hash a file whose identity is unknown. Record it if its bytes are right, otherwise remove it."""
        loop, path = asyncio.get_running_loop(), self.folder.path / digest
        try:
            identity = await loop.run_in_executor(
                self._threads.checks, check_file, self.folder, digest, self._account.changing
            )
        except OSError as error:
            if error.errno == errno.ENOENT:
                return  # removed in the meantime
            raise os_failure(f"cannot check the blob {path}", error) from error
        if identity is None:
            _log.error("The blob %s was damaged and has been removed; a request for it fetches it again", path)
            self._verified.pop(digest, None)
            self._epoch.bump()
            await self._store_identity(digest, "")
        else:
            _log.info("The blob %s is a new file with the right bytes", path)
            self._memorise(digest, identity)
            await self._store_identity(digest, _text(identity))

    async def _store_identity(self, digest: str, identity: str) -> None:
        try:
            await self._catalog.put_blob(digest, identity)
        except StorageFailure as failure:  # the file is hashed again when it is opened next
            _log.warning("The state of the blob %s could not be recorded: %s", digest, failure)


def _text(identity: Identity) -> str:
    """Return the identity as the catalog stores it. An inode number may be greater than SQLite's largest integer."""
    return " ".join(map(str, identity))
