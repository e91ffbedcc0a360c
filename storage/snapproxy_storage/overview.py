"""Bounded looks at many rows of the store, for pages and reports.

Each look runs in a thread. One at the catalog has a read-only connection of its own, a maximum number of rows (ask for
one more to learn whether there are further ones), and ends after some seconds: it never delays the reads of requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from snapproxy_storage.failures import os_failure, sqlite_failure
from snapproxy_storage.layout import journal_name
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Name, Value

_T = TypeVar("_T")

MOST_SECONDS = 5.0
"""Seconds after which a look at the catalog is given up."""

MOST_JOURNAL_BYTES = 128 << 20
"""Bytes of a journal that are read; a capture of the maximum length has fewer."""

_STEPS = 20_000
"""SQLite's virtual instructions between two looks at the time: some milliseconds."""

_LAST = "\U0010ffff"
"""The greatest character, both in Python and in SQLite's UTF-8 order."""

_SPACES = """
WITH RECURSIVE found(space) AS (
    SELECT max(space) FROM name WHERE space >= :low AND space < :high
    UNION ALL
    SELECT (SELECT max(space) FROM name WHERE space >= :low AND space < found.space) FROM found
    WHERE found.space IS NOT NULL LIMIT :most
)
SELECT space FROM found WHERE space IS NOT NULL
"""
"""One index look-up for each space, however many names it has."""

_TOTALS = """
SELECT (SELECT count(*) FROM name WHERE space = :space),
       (SELECT count(*) FROM name WHERE space = :space AND digest = ''),
       (SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT digest, size FROM name WHERE space = :space))
"""


@dataclass(frozen=True, slots=True)
class SpaceTotals:
    """The numbers of a space: all its names, those of absent files, and the bytes of its different files."""

    names: int
    absences: int
    size: int


class StoreOverview:
    """Looks at one store. Every method raises StorageFailure, also if a look takes too long."""

    def __init__(self, catalog: Path, journals: OpenFolder) -> None:
        self._path = catalog
        self._journals = journals

    async def spaces(self, prefix: str, *, most: int, below: str = "") -> list[str]:
        """Return the spaces with names that start with `prefix`, the greatest first.

        `below`: only those that are smaller, to continue an earlier look.
        """
        high = below or prefix + _LAST
        return await self._read(_SPACES, {"low": prefix, "high": high, "most": most}, lambda row: str(row[0]))

    async def names(self, space: str, *, most: int, after: str = "", prefix: str = "") -> list[tuple[str, Name]]:
        """Return the first names of a space that are greater than `after` and start with `prefix`, sorted."""
        query = (
            "SELECT name, digest, size, proof, extra FROM name "
            "WHERE space = ? AND name > ? AND name BETWEEN ? AND ? ORDER BY name LIMIT ?"
        )
        return await self._read(query, (space, after, prefix, prefix + _LAST, most), _named)

    async def totals(self, space: str) -> SpaceTotals:
        """Return the numbers of a space. It reads every name of it."""
        (totals,) = await self._read(_TOTALS, {"space": space}, lambda row: SpaceTotals(*row))
        return totals

    async def facts(self, prefix: str, now: int, *, most: int) -> list[tuple[str, Any]]:
        """Return the first facts with keys that start with `prefix` and that have not expired, sorted by key."""
        query = (
            "SELECT key, value FROM fact WHERE key BETWEEN ? AND ? AND (expires IS NULL OR expires > ?) "
            "ORDER BY key LIMIT ?"
        )
        values = (prefix, prefix + _LAST, now, most)
        return await self._read(query, values, lambda row: (str(row[0]), json.loads(row[1])))

    async def spans(self, prefix: str, start: int, end: int, *, most: int) -> list[tuple[str, Value]]:
        """Return the first spans that overlap [start, end], of keys that start with `prefix`, in order."""
        query = (
            "SELECT key, first, last, value FROM span WHERE key BETWEEN ? AND ? AND value IS NOT NULL "
            "AND first <= ? AND last >= ? ORDER BY key, first LIMIT ?"
        )
        values = (prefix, prefix + _LAST, end, start, most)
        return await self._read(query, values, lambda row: (str(row[0]), Value(*row[1:])))

    async def journal(self, name: str) -> list[bytes]:
        """Return the complete lines of a journal so far, none if there is no such journal.

        It is not opened for appending. Raises ValueError like `Journals.open`.
        """
        return await asyncio.to_thread(self._lines, journal_name(name))

    def _lines(self, name: str) -> list[bytes]:
        try:
            with os.fdopen(self._journals.open(name, os.O_RDONLY), "rb") as file:
                data = file.read(MOST_JOURNAL_BYTES)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise os_failure(f"cannot read the journal {self._journals.path / name}", error) from error
        return [line for line in data.split(b"\n")[:-1] if line]

    async def _read(self, query: str, values: Any, shape: Callable[[Any], _T]) -> list[_T]:
        return await asyncio.to_thread(self._in_thread, query, values, shape)

    def _in_thread(self, query: str, values: Any, shape: Callable[[Any], _T]) -> list[_T]:
        end = time.monotonic() + MOST_SECONDS
        try:
            address = f"file:{quote(str(self._path))}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as reader:
                reader.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
                return [shape(row) for row in reader.execute(query, values)]
        except sqlite3.Error as error:
            raise sqlite_failure(f"cannot look through the catalog {self._path}", error) from error


def _named(row: Any) -> tuple[str, Name]:
    name, digest, size, proof, extra = row
    return name, Name(digest, size, proof, json.loads(extra))
