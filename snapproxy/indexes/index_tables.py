"""Promise tables: what each index vouches for, looked up by name.

Tables are derived data under the cache folder, one a (index digest, path, parser version): every snapshot that names the same index shares
it, and a lost one is built again from the blob by the helper process of `tabulate`. This module owns that process and the open tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from snapproxy.base.clock import Clock
from snapproxy.core.model import ExpectedFile, Family
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.indexes.helper_main import decode
from snapproxy_storage import Blob, BodyTooLarge, StorageFailure, Store, Table, read_blob

log = logging.getLogger(__name__)
T = TypeVar("T")

OPEN_TABLES = 64
"""How many tables stay mapped; the least recently used one is closed first."""

DRAIN_SECONDS = 1.0
"""How long the pipe of a process that is gone may take to say so."""

IDLE_SECONDS = 20.0
"""How long the helper outlives its last job: an update brings its indexes within seconds of one another."""

JOB_SECONDS = 600.0
"""A job that takes longer is taken for a fault of its index."""

PIECE = 256 * 1024

MAX_READ = 1 << 20
"""Bytes of an index that is read in this process when its table cannot be written: Debian's roots are below, a large Packages is not."""


class HelperDiedError(ArchiveDataError):
    """The helper died over an index: that index's fault most likely, but somebody may have killed it."""


class HelperProcess:
    """The one helper process, started when needed and stopped when idle. Jobs go one at a time."""

    def __init__(self, cache_dir: Path, clock: Clock) -> None:
        self._clock = clock
        self._command = (sys.executable, "-I", "-m", "snapproxy.indexes.helper_main", str(cache_dir))
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def build(self, family: str, path: str, table: str, blob: Blob, reading: str = "promises") -> None:
        """Build the table named `table` of the index `blob`; `reading` as in `tabulate.READINGS`. Raises ArchiveDataError, StorageError."""
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            try:
                async with self._clock.timeout(JOB_SECONDS):
                    job = {"reading": reading, "family": family, "path": path, "table": table, "size": blob.size}
                    result = await self._exchange(job, blob)
            except TimeoutError:
                self._kill()
                raise ArchiveDataError(
                    "The index could not be read in time", why=f"Parsing it takes more than {JOB_SECONDS:.0f} s."
                ) from None
            except BaseException:
                self._kill()  # its pipe may stand in the middle of a job
                raise
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._kill)
        if result["reason"]:
            blame = ArchiveDataError if result["blame"] == "archive" else StorageError
            raise blame(result["reason"], why=result["why"])

    async def _exchange(self, job: dict[str, Any], blob: Blob) -> dict[str, Any]:
        process = await self._running()
        if process.stdin is None or process.stdout is None:
            raise StorageError("The index helper has no pipes")
        with contextlib.suppress(ConnectionError):  # a helper that died says so by an empty answer
            process.stdin.write(json.dumps(job).encode() + b"\n")
            async for piece in blob.chunks(0, blob.size):
                process.stdin.write(piece)
                await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            self._kill()
            raise HelperDiedError(
                "The index could not be read", why="The process that parses it died: it met a limit on memory or time."
            )
        result: dict[str, Any] = json.loads(line)
        return result

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        return self._process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        ending = asyncio.create_task(_ended(process))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End the process."""
        if self._idle is not None:
            self._idle.cancel()
        self._kill()
        await asyncio.gather(*self._ending)


async def _ended(process: Process) -> None:
    """Wait until a killed process is gone and its pipes are closed: the loop must not end before that."""
    await process.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            if process.stdout is not None:
                await process.stdout.read()


class IndexTables:
    """Look-ups in promise tables, which are built on demand. One build a table, however many ask."""

    def __init__(self, store: Store, helper: HelperProcess) -> None:
        self._store = store
        self._helper = helper
        self._open: OrderedDict[tuple[str, str], Table] = OrderedDict()
        self._builds: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._unreadable: OrderedDict[tuple[str, str], ArchiveDataError] = OrderedDict()

    async def expected(self, family: Family, digest: str, index: str, name: str) -> ExpectedFile | None:
        """Return what the index at path `index` with `digest` promises under `name`. Raises ArchiveDataError, StorageError."""
        try:
            row = await self._read(family, digest, index, lambda table: table.get(name))
        except StorageError as error:
            return dict(await self._without_table(family, digest, index, error)).get(name)
        return None if row is None else decode(row)

    async def entries(self, family: Family, digest: str, index: str) -> list[tuple[str, ExpectedFile]]:
        """Return everything an index promises (for roots, which are short)."""
        try:
            rows = await self._read(family, digest, index, lambda table: list(table.items()))
        except StorageError as error:
            return await self._without_table(family, digest, index, error)
        return [(name, decode(row)) for name, row in rows]

    async def all(self, family: Family, digest: str, index: str) -> list[ExpectedFile]:
        """Return everything an index promises, once each, however long it is: read beside the loop, from a map of its own."""
        await self._read(family, digest, index, lambda _: None)
        table = await asyncio.to_thread(self._store.tables.open, table_name(digest, index), family.parser)
        if table is None:
            raise StorageError(
                "The promise table vanished", why="Something empties the cache folder while it is in use."
            )
        try:
            return await asyncio.to_thread(_canonical, table)
        finally:
            table.close()

    async def _without_table(
        self, family: Family, digest: str, index: str, error: StorageError
    ) -> list[tuple[str, ExpectedFile]]:
        """Read a short index, such as a root, itself where the full disk takes no table. Raises `error` for a long one."""
        try:
            data = await read_blob(self._store.blobs, digest, MAX_READ)
        except BodyTooLarge:
            data = None
        if data is None:
            raise error
        return await asyncio.to_thread(lambda: list(family.read_index(index, [data])))

    async def _read(self, family: Family, digest: str, index: str, look_up: Callable[[Table], T]) -> T:
        """Look up in the table of an index whose blob the store holds. A damaged table is built again, once."""
        key = (table_name(digest, index), family.parser)
        try:
            return look_up(await self._table(family, digest, index, key))
        except StorageFailure as failure:
            log.warning("a promise table is built again: %s", failure)
            self._close(key)
            return look_up(await self._table(family, digest, index, key))

    async def _table(self, family: Family, digest: str, index: str, key: tuple[str, str]) -> Table:
        if key not in self._open:
            table = await asyncio.to_thread(self._store.tables.open, *key)
            if table is None:
                await self._build(family, digest, index, key)
                table = await asyncio.to_thread(self._store.tables.open, *key)
            if table is None:
                raise StorageError(
                    "The promise table vanished", why="Something empties the cache folder while it is in use."
                )
            self._close(key)  # somebody else may have opened it meanwhile
            self._open[key] = table
            if len(self._open) > OPEN_TABLES:
                self._close(next(iter(self._open)))
        self._open.move_to_end(key)
        return self._open[key]

    def _close(self, key: tuple[str, str]) -> None:
        if table := self._open.pop(key, None):
            table.close()

    async def _build(self, family: Family, digest: str, index: str, key: tuple[str, str]) -> None:
        if error := self._unreadable.get(key):
            raise ArchiveDataError(error.reason, why=error.why, hint=error.hint)
        task = self._builds.get(key)
        if task is None:
            task = self._builds[key] = asyncio.create_task(self._build_once(family, digest, index, key))
            task.add_done_callback(functools.partial(self._built, key))
        await asyncio.shield(task)

    def _built(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        """Remember an index that cannot be read: its bytes never change, and trying takes seconds."""
        del self._builds[key]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ArchiveDataError) and not isinstance(error, HelperDiedError):
            self._unreadable[key] = error
            if len(self._unreadable) > OPEN_TABLES:
                self._unreadable.popitem(last=False)

    async def _build_once(self, family: Family, digest: str, index: str, key: tuple[str, str]) -> None:
        blob = await self._store.blobs.open(digest)
        if blob is None:
            raise StorageError(
                "An index is gone from the store", why="It was evicted between two look-ups.", hint="Ask again."
            )
        try:
            await self._helper.build(family.name, index, key[0], blob)
        finally:
            blob.close()

    async def close(self) -> None:
        """Close every table and end the helper."""
        builds = list(self._builds.values())
        for build in builds:
            build.cancel()
        await asyncio.gather(*builds, return_exceptions=True)
        for table in self._open.values():
            table.close()
        self._open.clear()
        await self._helper.close()


def _canonical(table: Table) -> list[ExpectedFile]:
    return [expected for name, row in table.items() if (expected := decode(row)).path == name]


def table_name(digest: str, index: str) -> str:
    """Name the table of an index: the same bytes under another path promise other paths (`dists/stable`, `dists/bookworm`)."""
    return hashlib.sha256(f"{digest} {index}".encode()).hexdigest()
