"""Drafts on the local disk: one writer a key on this machine, readers in any process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path

from snapproxy_storage.blobs import LocalBlobs
from snapproxy_storage.draft import LocalDraft
from snapproxy_storage.draft_files import DraftFiles, open_bytes
from snapproxy_storage.draft_poller import DraftPoller
from snapproxy_storage.failures import is_full, os_failure
from snapproxy_storage.layout import draft_name, draft_of, meta_name, next_name
from snapproxy_storage.locks import try_lock
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Body, Following, StorageFailure, Writing
from snapproxy_storage.threads import Threads

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOST_RACES = 50

# Bytes that wait for the one writer thread: of one draft, of all while there are few, and of one while there are many.
_MOST_BACKLOG = 1 << 20
_ALL_BACKLOGS = 16 << 20
_LEAST_BACKLOG = 256 << 10


def _boot_id() -> str:
    """Return what names this run of the kernel; where it does not say, something that no draft bears."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return secrets.token_hex(16)


class LocalDrafts:
    """The folder of drafts."""

    def __init__(self, folder: OpenFolder, blobs: LocalBlobs, threads: Threads) -> None:
        self._folder = folder
        self._blobs = blobs
        self._threads = threads
        self._boot = _boot_id()
        self._writing: dict[str, LocalDraft] = {}
        self._pollers: dict[str, DraftPoller] = {}
        self._is_closed = False

    def begin(self, key: str, *, window: int = 8 << 20) -> Writing | Following:
        if self._is_closed:
            raise StorageFailure("the store is closed")
        if key in self._writing:
            return Following(self._writing[key].follow())
        name = draft_name(key)
        try:
            for _ in range(_MOST_RACES):
                try:
                    files = DraftFiles.take(self._folder, name, self._boot)
                except OSError as error:
                    if not is_full(error):
                        raise
                    return Writing(self._start(key, None, window))
                if files is not None:
                    return Writing(self._start(key, files, window))
                body = self._follow_other_writer(name)
                if body is not None:
                    return Following(body)
        except OSError as error:
            raise os_failure(f"cannot begin the draft {self._folder.path / name}", error) from error
        raise StorageFailure(f"cannot begin the draft {self._folder.path / name}: it keeps changing hands; ask again")

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
        """End every draft of this process, keeping the bytes, and every watch."""
        self._is_closed = True
        for draft in list(self._writing.values()):
            await draft.abandon("the store was closed", keep=True)
        for poller in list(self._pollers.values()):
            poller.close()

    def _start(self, key: str, files: DraftFiles | None, window: int) -> LocalDraft:
        try:
            draft = LocalDraft(
                key,
                files,
                blobs=self._blobs,
                threads=self._threads,
                window=window,
                backlog=self._backlog,
                on_end=self._ended,
            )
        except BaseException:
            if files is not None:
                files.close()
            raise
        self._writing[key] = draft
        return draft

    def _backlog(self) -> int:
        """Return what one draft may hold back for the writer thread: many share one thread, and need no more than one does."""
        return max(_LEAST_BACKLOG, min(_MOST_BACKLOG, _ALL_BACKLOGS // max(1, len(self._writing))))

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
        os.utime(self._folder.fd)  # lets the file system say what time it is
        horizon = os.fstat(self._folder.fd).st_mtime - older_than
        drafts = {draft for draft in map(draft_of, self._folder.names()) if draft is not None}
        return sum(self._sweep_one(draft, horizon) for draft in sorted(drafts))

    def _sweep_one(self, name: str, horizon: float) -> bool:
        """Remove a draft nobody writes, provided that nothing of it was touched since the `horizon`."""
        parts = (name, meta_name(name), next_name(name))
        if self._touched(parts) > horizon:
            return False
        fd = open_bytes(self._folder, name)  # created where only a record is left: its lock keeps a writer out
        try:
            if not try_lock(fd) or not self._folder.is_still(name, fd):
                return False
            for part in reversed(parts):
                self._folder.remove(part)
        finally:
            os.close(fd)
        return True

    def _touched(self, names: tuple[str, ...]) -> float:
        latest = 0.0
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                latest = max(latest, self._folder.stat(name).st_mtime)
        return latest
