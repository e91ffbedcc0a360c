"""Read a whole catalog in pages, on a connection of its own: inline reads of the event loop never wait for it.

Each page is one statement that continues after the last key, so no transaction stays open, and the write-ahead log can
be truncated meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from snapproxy_storage.failures import sqlite_failure

PAGE = 5000
"""Rows of one statement: about a MiB."""

_BUSY_SECONDS = 20.0
_LAST = "\U0010ffff"
"""The greatest character, both in Python and in SQLite's UTF-8 order."""


class LocalCatalogScan:
    """A read-only connection to one catalog. It may move from thread to thread, one at a time."""

    def __init__(self, path: Path) -> None:
        """Open the connection. Raises StorageFailure."""
        self._path = path
        try:
            self._reader = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise sqlite_failure(f"cannot open the catalog {path}", error) from error

    def names(self, spaces: str = "", *, after: tuple[str, str] = ("", "")) -> Iterator[tuple[str, str, str, int]]:
        """Yield the names of spaces (`CatalogScan`)."""
        page = (
            "SELECT space, name, digest, size FROM name WHERE (space, name) > (?, ?) AND space <= ? "
            "ORDER BY space, name LIMIT ?"
        )
        after = max(after, (spaces, ""))
        while rows := self._read(page, *after, spaces + _LAST, PAGE):
            yield from rows
            after = rows[-1][:2]

    def values(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the values of keys (`CatalogScan`)."""
        page = (
            "SELECT key, first, value FROM span WHERE (key, first) > (?, ?) AND key <= ? AND value IS NOT NULL "
            "ORDER BY key, first LIMIT ?"
        )
        after: tuple[str, int] = (prefix, -(1 << 62))
        while rows := self._read(page, *after, prefix + _LAST, PAGE):
            yield from ((key, value) for key, _, value in rows)
            after = rows[-1][:2]

    def count_values(self, prefix: str) -> int:
        """Return the number of values of keys (`CatalogScan`)."""
        ((count,),) = self._read("SELECT count(value) FROM span WHERE key BETWEEN ? AND ?", prefix, prefix + _LAST)
        return int(count)

    def facts(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Yield the facts of keys (`CatalogScan`)."""
        page = "SELECT key, value FROM fact WHERE key > ? AND key <= ? ORDER BY key LIMIT ?"
        after = prefix
        while rows := self._read(page, after, prefix + _LAST, PAGE):
            yield from ((key, json.loads(value)) for key, value in rows)
            after = rows[-1][0]

    def close(self) -> None:
        """Release the connection."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise sqlite_failure(f"cannot read the catalog {self._path}", error) from error
