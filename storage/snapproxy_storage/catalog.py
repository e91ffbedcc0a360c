"""The catalog in SQLite. Its tables are generic: the caller defines the meaning of names, keys and values.

Reads run inline on one read-only connection and fetch all rows, so that none keeps a read transaction open. Writes run
on one thread: all pending writes share a transaction, and they are durable when they return. WAL mode lets several
processes read while one writes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from snapproxy_storage.catalog_scan import LocalCatalogScan
from snapproxy_storage.catalog_schema import migrate
from snapproxy_storage.catalog_tidy import drop_dangling, tidy
from snapproxy_storage.epoch import Epoch
from snapproxy_storage.failures import sqlite_failure
from snapproxy_storage.observation_spans import insert_observation
from snapproxy_storage.protocols import Name, StorageFailure, Value
from snapproxy_storage.threads import Threads

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_BUSY_SECONDS = 20.0
"""Seconds that a write waits for the transaction of another process."""
_MOST_NOTED = 64
"""Number of waiting writes from which `note_blob` starts a transaction."""
_SERVED_RESOLUTION = 3600
"""Seconds to which the time of the last serving is exact: a blob that is served all the time costs a write an hour."""
_CLOCK_ERROR = 86400
"""Seconds by which a recorded time may be ahead of a later one."""
_PUT_SERVED = """INSERT INTO served VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET at = excluded.at
    WHERE excluded.at >= at + ? OR excluded.at < at - ?"""
_LAST = "\U0010ffff"
"""The greatest character, both in Python and in SQLite's UTF-8 order."""


@dataclass(frozen=True, slots=True)
class _Write:
    """A pending write: the operation in the transaction, the callback after the commit, the future result."""

    operation: Callable[[sqlite3.Connection], Any]
    then: Callable[[Any], None]
    done: Future[Any]


class LocalCatalog:
    """The catalog of one store. The lock of the epoch file serializes creating and migrating it."""

    def __init__(self, path: Path, epoch: Epoch, threads: Threads) -> None:
        """Open the catalog; create or migrate it first.

        Raises StorageFailure, including if a newer program wrote it.
        """
        self._path = path
        self._epoch = epoch
        self._threads = threads
        self._waiting: deque[_Write] = deque()
        try:
            with epoch.exclusively():
                self._writer = sqlite3.connect(
                    path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                self._writer.execute("PRAGMA journal_mode = WAL").fetchall()
                self._writer.execute("PRAGMA synchronous = FULL")
                migrate(self._writer, path)
            self._reader = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except (sqlite3.Error, StorageFailure) as error:
            if hasattr(self, "_writer"):
                self._writer.close()
            if isinstance(error, sqlite3.Error):
                raise sqlite_failure(f"cannot open the catalog {path}", error) from error
            raise

    @property
    def epoch(self) -> int:
        return self._epoch.word[0]

    def name(self, space: str, name: str) -> Name | None:
        rows = self._read("SELECT digest, size, proof, extra FROM name WHERE space = ? AND name = ?", space, name)
        return _name(*rows[0]) if rows else None

    def names(self, space: str, *, prefix: str = "") -> list[tuple[str, Name]]:
        rows = self._read(
            "SELECT name, digest, size, proof, extra FROM name WHERE space = ? AND name BETWEEN ? AND ? ORDER BY name",
            space,
            prefix,
            prefix + _LAST,
        )
        return [(name, _name(*rest)) for name, *rest in rows]

    async def put_name(self, space: str, name: str, value: Name, *, at: int | None = None) -> Name:
        ((now, _),) = await self._put(space, {name: value}, at)
        return now

    async def put_names(self, space: str, values: Mapping[str, Name], *, at: int | None = None) -> None:
        await self._put(space, dict(values), at)

    async def _put(self, space: str, values: Mapping[str, Name], at: int | None) -> list[tuple[Name, Name | None]]:
        """Store names; return for each the resulting value and the previous one."""

        def replaced(outcome: list[tuple[Name, Name | None]]) -> None:
            for name, (now, before) in zip(values, outcome, strict=True):
                self._note_replaced(f"{space}/{name}", now, before)

        return await self._write(
            lambda writer: [_insert_name(writer, space, name, value, at) for name, value in values.items()], replaced
        )

    def _note_replaced(self, name: str, now: Name, before: Name | None) -> None:
        """Log a replaced value, and increment the epoch if its digest changed."""
        if before is None or now is before:
            return
        _log.warning(
            "%s: %s (proof %d) is replaced by %s (proof %d)", name, before.digest, before.proof, now.digest, now.proof
        )
        if before.digest != now.digest:
            self._epoch.bump()

    async def drop_name(self, space: str, name: str) -> None:
        await self._write(
            lambda writer: writer.execute("DELETE FROM name WHERE space = ? AND name = ?", (space, name)),
            lambda _: self._epoch.bump(),
        )

    async def drop_space(self, space: str) -> None:
        await self._write(
            lambda writer: writer.execute("DELETE FROM name WHERE space = ?", (space,)), lambda _: self._epoch.bump()
        )

    async def observe(self, key: str, at: int, value: str) -> None:
        await self._write(lambda writer: insert_observation(writer, key, at, value))

    async def observe_all(self, at: int, values: Mapping[str, str]) -> None:
        def observe(writer: sqlite3.Connection) -> None:
            for key, value in values.items():
                insert_observation(writer, key, at, value)

        await self._write(observe)

    def around(self, key: str, at: int) -> tuple[Value | None, Value | None]:
        columns = "SELECT first, last, value FROM span WHERE key = ? AND value IS NOT NULL"
        before = self._read(f"{columns} AND first <= ? ORDER BY first DESC LIMIT 1", key, at)
        after = self._read(f"{columns} AND first > ? ORDER BY first LIMIT 1", key, at)
        return (Value(*before[0]) if before else None), (Value(*after[0]) if after else None)

    def keys(self, prefix: str) -> list[str]:
        rows = self._read(
            "SELECT DISTINCT key FROM span WHERE key BETWEEN ? AND ? ORDER BY key", prefix, prefix + _LAST
        )
        return [key for (key,) in rows]

    def fact(self, key: str, now: int) -> Any | None:
        rows = self._read("SELECT value FROM fact WHERE key = ? AND (expires IS NULL OR expires > ?)", key, now)
        return json.loads(rows[0][0]) if rows else None

    async def put_fact(self, key: str, value: Any, *, expires: int | None = None) -> None:
        text = json.dumps(value)
        await self._write(lambda writer: writer.execute("REPLACE INTO fact VALUES (?, ?, ?)", (key, text, expires)))

    async def update_fact(self, key: str, change: Callable[[Any | None], Any], *, invalidates: bool = False) -> Any:
        def update(writer: sqlite3.Connection) -> Any:
            rows = writer.execute("SELECT value FROM fact WHERE key = ? AND expires IS NULL", (key,)).fetchall()
            value = change(json.loads(rows[0][0]) if rows else None)
            writer.execute("REPLACE INTO fact VALUES (?, ?, NULL)", (key, json.dumps(value)))
            return value

        return await self._write(update, lambda _: self._epoch.bump() if invalidates else None)

    async def tidy(self, now: int, *, most_names: int, most_facts: int, kept: Collection[str] = ()) -> int:
        return await tidy(self._write, now, most_names, most_facts, kept)

    async def drop_dangling(
        self, is_stored: Callable[[str], bool], *, spaces: Sequence[str], facts: Sequence[str]
    ) -> int:
        return await drop_dangling(self._write, is_stored, spaces, facts)

    async def drop_fact(self, key: str) -> None:
        await self._write(lambda writer: writer.execute("DELETE FROM fact WHERE key = ?", (key,)))

    def blob_identity(self, digest: str) -> str | None:
        """Return the recorded identity of a blob's file: '' for one that was damaged, None if none is recorded."""
        rows = self._read("SELECT identity FROM blob WHERE digest = ?", digest)
        return str(rows[0][0]) if rows else None

    async def put_blob(self, digest: str, identity: str) -> None:
        """Record the identity of a blob's file."""
        await self._write(_blob_recorder(digest, identity))

    def note_blob(self, digest: str, identity: str) -> None:
        """Record the identity of a blob's file with the next write, so that it costs no fsync of its own.

        It is lost if the process dies before. A failure is not reported.
        """
        self._note(_blob_recorder(digest, identity))

    def _note(self, operation: Callable[[sqlite3.Connection], Any]) -> None:
        self._waiting.append(_Write(operation, lambda _: None, Future()))
        if len(self._waiting) >= _MOST_NOTED:
            self._threads.catalog.submit(self._write_waiting)

    def forget_blob(self, digest: str) -> None:
        """Delete the record of a removed blob with the next write. If that is lost, a later tidy-up deletes it."""
        self._note(_blob_forgetter(digest))

    def served(self, digests: Sequence[str]) -> dict[str, int]:
        """Return when blobs were served last, those of them that were served."""
        wanted = "SELECT digest, at FROM served WHERE digest IN (SELECT value FROM json_each(?))"
        return dict(self._read(wanted, json.dumps(list(digests))))

    async def put_served(self, times: Mapping[str, int]) -> None:
        """Record when blobs were served last, to the hour: a later time within it costs no write.

        A recorded time of a clock that was ahead is replaced.
        """
        rows = [(digest, at, _SERVED_RESOLUTION, _CLOCK_ERROR) for digest, at in times.items()]
        await self._write(lambda writer: writer.executemany(_PUT_SERVED, rows))

    def scan(self) -> LocalCatalogScan:
        return LocalCatalogScan(self._path)

    def close(self) -> None:
        """Close both connections, the writer after its pending writes."""
        self._threads.catalog.submit(self._write_waiting)
        self._threads.catalog.submit(self._writer.close).result()
        self._reader.close()

    def _read(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise sqlite_failure(f"cannot read the catalog {self._path}", error) from error

    async def _write(
        self, operation: Callable[[sqlite3.Connection], _T], then: Callable[[_T], None] = lambda _: None
    ) -> _T:
        """Run the operation in a transaction, then call `then`. Both complete even if the caller is cancelled."""
        done: Future[_T] = Future()
        self._waiting.append(_Write(operation, then, done))
        self._threads.catalog.submit(self._write_waiting)
        return await asyncio.shield(asyncio.wrap_future(done))

    def _write_waiting(self) -> None:
        batch = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        if not batch or self._do(batch):
            return  # the batch is done, or an earlier call has included these writes
        for write in batch:  # one write that fails must not make the others fail
            self._do([write])

    def _do(self, batch: list[_Write]) -> bool:
        """Run the batch in one transaction and set the results.

        Return False if it failed and each write must be tried separately.
        """
        try:
            results = self._transact([write.operation for write in batch])
        except Exception as error:  # noqa: BLE001 - any error is raised in the caller of this write
            if len(batch) > 1:
                return False
            batch[0].done.set_exception(self._explained(error))
            return True
        for write, result in zip(batch, results, strict=True):
            try:
                write.then(result)
            except StorageFailure as error:
                write.done.set_exception(error)
            else:
                write.done.set_result(result)
        return True

    def _transact(self, operations: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            results = [operation(self._writer) for operation in operations]
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:  # SQLite has already rolled back if the disk is full
                self._writer.execute("ROLLBACK")
            raise
        return results

    def _explained(self, error: Exception) -> Exception:
        return (
            sqlite_failure(f"cannot write to the catalog {self._path}", error)
            if isinstance(error, sqlite3.Error)
            else error
        )


def _name(digest: str, size: int, proof: int, extra: str) -> Name:
    return Name(digest, size, proof, json.loads(extra))


def _blob_recorder(digest: str, identity: str) -> Callable[[sqlite3.Connection], Any]:
    return lambda writer: writer.execute("REPLACE INTO blob VALUES (?, ?)", (digest, identity))


def _blob_forgetter(digest: str) -> Callable[[sqlite3.Connection], Any]:
    def forget(writer: sqlite3.Connection) -> None:
        writer.execute("DELETE FROM blob WHERE digest = ?", (digest,))
        writer.execute("DELETE FROM served WHERE digest = ?", (digest,))

    return forget


def _insert_name(
    writer: sqlite3.Connection, space: str, name: str, value: Name, at: int | None
) -> tuple[Name, Name | None]:
    """Store the value unless the existing proof is as strong. Return the resulting value and the previous one.

    A name that was stored once without the time `at` is never forgotten.
    """
    rows = writer.execute(
        "SELECT written, digest, size, proof, extra FROM name WHERE space = ? AND name = ?", (space, name)
    ).fetchall()
    existing = _name(*rows[0][1:]) if rows else None
    at = None if rows and rows[0][0] is None else at
    if existing is not None and existing.proof >= value.proof:
        if at is None:
            writer.execute(
                "UPDATE name SET written = NULL WHERE space = ? AND name = ? AND written IS NOT NULL", (space, name)
            )
        return existing, existing
    extra = json.dumps(dict(value.extra), sort_keys=True)
    writer.execute(
        "REPLACE INTO name VALUES (?, ?, ?, ?, ?, ?, ?)",
        (space, name, value.digest, value.size, value.proof, extra, at),
    )
    return value, existing
