"""The drafts on the local disk: one writer for each key on this machine, readers in any process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from pathlib import Path

from snapproxy_storage.blobs import LocalBlobs
from snapproxy_storage.draft import LocalDraft
from snapproxy_storage.draft_files import DraftFiles, open_bytes
from snapproxy_storage.draft_poller import DraftPoller
from snapproxy_storage.failures import is_unwritable, os_failure
from snapproxy_storage.held_back import HELD_BACK
from snapproxy_storage.layout import draft_name, draft_of, meta_name, next_name
from snapproxy_storage.locks import try_lock
from snapproxy_storage.memory_window import MemoryBudget, MemoryWindow
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Body, DiskFailure, Following, StorageFailure, Writing
from snapproxy_storage.space import LocalSpace
from snapproxy_storage.space_account import OutOfSpace, Reservation, SpaceAccount
from snapproxy_storage.threads import Threads

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_RACES = 50

_MAX_WINDOWS = 128 << 20
"""Maximum bytes of all drafts in memory while the disk is full."""
_RECENT_SECONDS = 10.0
"""Seconds for which the store counts as full after a draft did not fit."""

_MAX_BACKLOG = 1 << 20
"""Maximum bytes of one draft that wait for the writer thread."""
_TOTAL_BACKLOG = 16 << 20
"""Maximum bytes of all drafts that wait for the writer thread, shared equally."""
_MIN_BACKLOG = 256 << 10
"""Bytes that one draft may always queue, for any number of drafts."""


def boot_id() -> str:
    """Return the boot id of the kernel, or a random value that no draft has if it cannot be read."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return secrets.token_hex(16)


class LocalDrafts:
    """The folder of drafts."""

    def __init__(self, folder: OpenFolder, blobs: LocalBlobs, account: SpaceAccount, threads: Threads) -> None:
        self._folder = folder
        self._account = account
        self.space = LocalSpace(account, threads, lambda age: self.sweep(older_than=age))
        self._blobs = blobs
        self._threads = threads
        self._boot = boot_id()
        self._writing: dict[str, LocalDraft] = {}
        self._pollers: dict[str, DraftPoller] = {}
        self._is_closed = False
        self._budget = MemoryBudget(_MAX_WINDOWS)
        self._full_at = float("-inf")

    def is_recently_full(self) -> bool:
        """Return whether a draft of this process did not fit on the disk in the last seconds."""
        return time.monotonic() - self._full_at < _RECENT_SECONDS

    def begin(self, key: str, *, window: int = 8 << 20) -> Writing | Following:
        if self._is_closed:
            raise StorageFailure("the store is closed")
        if key in self._writing:
            return Following(self._writing[key].follow())
        name = draft_name(key)
        try:
            for _ in range(_MAX_RACES):
                try:
                    reservation, files = self._take(name)
                except OSError as error:
                    if not is_unwritable(error):
                        raise
                    return Writing(self._start(key, None, Reservation(0), window))
                if files is not None or reservation is None:
                    return Writing(self._start(key, files, reservation or Reservation(0), window))
                body = self._follow_other_writer(name)
                if body is not None:
                    return Following(body)
        except OSError as error:
            raise os_failure(f"cannot begin the draft {self._folder.path / name}", error) from error
        raise StorageFailure(
            f"cannot begin the draft {self._folder.path / name}: its writer changed too often; try again"
        )

    def follow(self, key: str) -> Body | None:
        if key in self._writing:
            return self._writing[key].follow()
        name = draft_name(key)
        try:
            return self._follow_other_writer(name)
        except OSError as error:
            raise os_failure(f"cannot follow the draft {self._folder.path / name}", error) from error

    async def sweep(self, *, older_than: float) -> int:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads.disk, self._sweep, older_than)
        except OSError as error:
            raise os_failure(f"cannot sweep the drafts in {self._folder.path}", error) from error

    async def close(self) -> None:
        """Abandon every draft of this process, keeping the bytes, and stop following the drafts of other processes."""
        self._is_closed = True
        for draft in list(self._writing.values()):
            await draft.abandon("the store was closed", keep=True)
        for poller in list(self._pollers.values()):
            poller.close()

    def _start(self, key: str, files: DraftFiles | None, reservation: Reservation, window: int) -> LocalDraft:
        try:
            draft = LocalDraft(
                key,
                files,
                reservation,
                space=self.space,
                blobs=self._blobs,
                threads=self._threads,
                make_window=lambda start, why: self._make_window(start, window, why),
                backlog=self._backlog,
                on_end=self._ended,
            )
        except BaseException:
            if files is not None:
                files.close()
                self._account.release(reservation)
            raise
        self._writing[key] = draft
        return draft

    def _take(self, name: str) -> tuple[Reservation | None, DraftFiles | None]:
        """Become the writer of a draft: reserve its space, then open its files.

        Return no reservation if the quota has no room, no files if there is a writer already.
        """
        reservation = self._account.begin(self._folder.size_of_file(name) or 0)
        if reservation is None:
            return None, None
        try:
            files = DraftFiles.take(self._folder, name, self._boot)
        except BaseException:
            self._account.decline(reservation)
            raise
        if files is None:
            self._account.decline(reservation)
        elif files.written != reservation.written:  # its bytes are not trusted, or more have arrived
            self._account.adjust(reservation, files.written)
        return reservation, files

    def _backlog(self) -> int:
        """Return the bytes that one draft may queue for the writer thread, which all drafts share."""
        return max(_MIN_BACKLOG, min(_MAX_BACKLOG, _TOTAL_BACKLOG // max(1, len(self._writing))))

    def _make_window(self, start: int, capacity: int, why: DiskFailure) -> MemoryWindow:
        """Return the window of a draft that the disk does not take any more."""
        if not isinstance(why, OutOfSpace):
            self._full_at = time.monotonic()
        return MemoryWindow(start, max(capacity, 4 * HELD_BACK), self._budget, why)

    def _ended(self, draft: LocalDraft) -> None:
        if self._writing.get(draft.key) is draft:
            del self._writing[draft.key]

    def _follow_other_writer(self, name: str) -> Body | None:
        poller = self._pollers.get(name)
        if poller is None or not poller.is_current:
            poller = DraftPoller.open(self._folder, name, self._forget_poller)
            if poller is None:
                return None
            self._pollers[name] = poller
        return poller.stream.follow()

    def _forget_poller(self, poller: DraftPoller) -> None:
        if self._pollers.get(poller.name) is poller:
            del self._pollers[poller.name]

    def _sweep(self, older_than: float) -> int:
        os.utime(self._folder.fd)  # so that the file system provides the current time
        horizon = os.fstat(self._folder.fd).st_mtime - older_than
        drafts = {draft for draft in map(draft_of, self._folder.names()) if draft is not None}
        removed = sum(self._sweep_one(draft, horizon) for draft in sorted(drafts))
        if removed:
            self._account.settle()
        return removed

    def _sweep_one(self, name: str, horizon: float) -> bool:
        """Remove a draft that has no writer and no file that was modified after the `horizon`."""
        parts = (name, meta_name(name), next_name(name))
        if self._modified(parts) > horizon:
            return False
        fd = open_bytes(self._folder, name)  # created if only a record is left: its lock excludes a new writer
        try:
            if not try_lock(fd) or not self._folder.is_still(name, fd):
                return False
            for part in reversed(parts):
                self._folder.remove(part)
        finally:
            os.close(fd)
        return True

    def _modified(self, names: tuple[str, ...]) -> float:
        latest = 0.0
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                latest = max(latest, self._folder.stat(name).st_mtime)
        return latest
