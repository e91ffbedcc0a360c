"""The checks of a store on a local disk: its blobs, its catalog, and the files in its folders (`Audit`)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from snapproxy_storage.audit_protocols import AuditedBlob, FileCount, Pace, StoredName
from snapproxy_storage.blob_audit import BlobAudit
from snapproxy_storage.blobs import LocalBlobs
from snapproxy_storage.failures import os_failure, sqlite_failure
from snapproxy_storage.layout import (
    BLOBS,
    SHA256,
    STATE_FILES,
    STATE_FOLDERS,
    StoreLayout,
    draft_of,
    is_digest,
    is_journal,
)
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Name

_MOST_STRANGERS = 1000
_MOST_FAULTS = 100
_BUSY_SECONDS = 20.0

_NAMES = """SELECT space, name, digest, size, proof, extra FROM name
            WHERE digest IN (SELECT value FROM json_each(?)) ORDER BY space, name"""
_BLOBS_OF_NAMES = "SELECT digest, max(size), count(*) FROM name WHERE digest <> '' GROUP BY digest"

T = TypeVar("T")


class LocalAudit:
    """The checks of one open store. The catalog is read on a connection of its own, so that no request waits."""

    def __init__(self, layout: StoreLayout, blobs: LocalBlobs) -> None:
        self._layout = layout
        self._blobs = BlobAudit(layout.state, blobs)

    async def digests(self, after: str = "", *, most: int = 50_000) -> Sequence[str]:
        return await self._blobs.digests(after, most)

    async def check(self, digest: str, pace: Pace) -> AuditedBlob:
        return await self._blobs.check(digest, pace)

    async def quarantined(self) -> FileCount:
        return await self._blobs.quarantined()

    async def names_of(self, digests: Collection[str]) -> Sequence[StoredName]:
        def read(catalog: sqlite3.Connection) -> list[StoredName]:
            rows = catalog.execute(_NAMES, (json.dumps(sorted(digests)),))
            return [
                StoredName(space, name, Name(digest, size, proof, json.loads(extra)))
                for space, name, digest, size, proof, extra in rows
            ]

        return await self._reading(read)

    async def missing_blobs(self) -> FileCount:
        def count(catalog: sqlite3.Connection) -> FileCount:
            names = size = 0
            for digest, each, number in catalog.execute(_BLOBS_OF_NAMES):
                if not is_digest(digest) or self._layout.blobs.size_of_file(digest) is None:
                    names, size = names + number, size + each
            return FileCount(names, size)

        return await self._reading(count)

    async def catalog_faults(self) -> Sequence[str]:
        def check(catalog: sqlite3.Connection) -> list[str]:
            found = [str(line) for (line,) in catalog.execute(f"PRAGMA quick_check({_MOST_FAULTS})")]
            return [] if found == ["ok"] else found

        try:
            return await self._in_thread(lambda: _reading(self._catalog, check))
        except sqlite3.DatabaseError as error:
            return [str(error)]

    async def drafts(self) -> FileCount:
        def count() -> FileCount:
            drafts = self._layout.drafts
            sizes = [drafts.size_of_file(name) or 0 for name in drafts.names() if is_digest(name)]
            return FileCount(len(sizes), sum(sizes))

        return await self._in_thread(count)

    async def journals(self) -> Sequence[str]:
        return await self._in_thread(lambda: sorted(filter(is_journal, self._layout.journals.names())))

    async def strangers(self) -> Sequence[str]:
        return await self._in_thread(lambda: sorted(islice(self._strangers(), _MOST_STRANGERS)))

    def _strangers(self) -> Iterator[str]:
        """Yield foreign entries, folder by folder."""
        layout, state = self._layout, self._layout.state
        for name in state.names():
            mode = state.stat(name).st_mode
            is_ours = name in STATE_FOLDERS if stat.S_ISDIR(mode) else name in STATE_FILES and stat.S_ISREG(mode)
            if not is_ours:
                yield name
        blobs = state.sub(BLOBS)
        try:
            yield from (f"{BLOBS}/{name}" for name in blobs.names() if name != SHA256)
        finally:
            blobs.close()
        for folder, is_known in (
            (layout.blobs, is_digest),
            (layout.journals, is_journal),
            (layout.drafts, lambda name: draft_of(name) is not None or name.startswith("probe-")),
        ):
            yield from _unknown_files(folder, state, is_known)

    async def close(self) -> None:
        """Wait for the work that was submitted."""
        await asyncio.to_thread(self._blobs.thread.shutdown)

    @property
    def _catalog(self) -> Path:
        return self._layout.catalog()

    async def _reading(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._in_thread(lambda: _reading(self._catalog, read))
        except sqlite3.Error as error:
            raise sqlite_failure(f"cannot read the catalog {self._catalog}", error) from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._blobs.thread, work)
        except OSError as error:
            raise os_failure(f"cannot check the folder {self._layout.state.path}", error) from error


def _reading(path: Path, read: Callable[[sqlite3.Connection], T]) -> T:
    uri = f"file:{quote(str(path))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)) as catalog:
        return read(catalog)


def _unknown_files(folder: OpenFolder, state: OpenFolder, is_known: Callable[[str], bool]) -> Iterator[str]:
    with folder.entries() as entries:
        for entry in entries:
            if not is_known(entry.name) or not entry.is_file(follow_symlinks=False):
                yield str((folder.path / entry.name).relative_to(state.path))
