"""The stored blobs of one run, with the cause that protects each, on a private temporary database.

Its memory is bounded for any number of blobs: SQLite keeps at most `_CACHE_KIB` of pages in memory, which is enough for
some hundred thousand blobs (about 80 bytes each), and writes the others to an unlinked temporary file. Rows go in and
out in batches. A temporary file outside the store is used only by larger stores, so a full disk does not prevent that
space is freed.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from snapproxy.space.protected_files import Cause, FileFigures
from snapproxy_storage import StorageFailure, StoredBlob

_CACHE_KIB = 64 << 10
_BATCH = 256
"""Blobs of one batch of the oldest: removed under one lock, which recorders of captures wait for."""

_TABLES = (
    """CREATE TABLE stored (digest BLOB PRIMARY KEY, size INTEGER, served INTEGER, cause INTEGER DEFAULT 0)
       WITHOUT ROWID""",
    "CREATE INDEX by_age ON stored (served, digest)",
    "CREATE TABLE listed (digest BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE index_read (name TEXT PRIMARY KEY) WITHOUT ROWID",
)


class Ledger:
    """The stored blobs, and the digests that observed indexes list.

    The first are those of one run, since `fill`. The second are kept for the next run, so that an index is read once.
    Every method blocks: call it on a thread, one at a time. Every method may raise StorageFailure.
    """

    def __init__(self) -> None:
        self._opened: sqlite3.Connection | None = None

    def fill(self, blobs: Iterable[StoredBlob]) -> None:
        """Replace the stored blobs."""
        self._execute("DELETE FROM stored")
        rows = ((bytes.fromhex(blob.digest), blob.size, blob.served) for blob in blobs)
        self._execute_many("INSERT OR REPLACE INTO stored (digest, size, served) VALUES (?, ?, ?)", rows)

    def protect(self, digests: Iterable[str], cause: Cause) -> None:
        """Protect those of the blobs that are stored and have no cause yet."""
        rows = ((int(cause), bytes.fromhex(digest)) for digest in digests if digest)
        self._execute_many("UPDATE stored SET cause = ? WHERE digest = ? AND cause = 0", rows)

    def has(self, digest: str) -> bool:
        """Return whether the blob is stored."""
        return bool(self._execute("SELECT 1 FROM stored WHERE digest = ?", bytes.fromhex(digest)))

    def protected(self) -> dict[Cause, FileFigures]:
        """Return the protected blobs by cause."""
        rows = self._execute("SELECT cause, count(*), sum(size) FROM stored WHERE cause > 0 GROUP BY cause")
        return {Cause(cause): FileFigures(files, size) for cause, files, size in rows}

    def removable(self) -> FileFigures:
        """Return the blobs that nothing protects."""
        ((files, size),) = self._execute("SELECT count(*), sum(size) FROM stored WHERE cause = 0")
        return FileFigures(files, size or 0)

    def oldest(self, after: StoredBlob | None) -> Sequence[StoredBlob]:
        """Return a batch of the blobs that nothing protects, those that were served least recently first.

        `after`: the last one of the batch before.
        """
        page = (
            "SELECT digest, size, served FROM stored WHERE (served, digest) > (?, ?) AND cause = 0 "
            "ORDER BY served, digest LIMIT ?"
        )
        start = (-(1 << 62), b"") if after is None else (after.served, bytes.fromhex(after.digest))
        return [StoredBlob(digest.hex(), size, at) for digest, size, at in self._execute(page, *start, _BATCH)]

    def remove(self, digests: Iterable[str]) -> None:
        """Forget blobs that were removed from the store."""
        self._execute_many("DELETE FROM stored WHERE digest = ?", ((bytes.fromhex(digest),) for digest in digests))

    # --- the digests that observed indexes list

    def was_read(self, index: str) -> bool:
        """Return whether the entries of an index were added."""
        return bool(self._execute("SELECT 1 FROM index_read WHERE name = ?", index))

    def note_read(self, index: str) -> None:
        """Note that the entries of an index were added."""
        self._execute("INSERT OR IGNORE INTO index_read VALUES (?)", index)

    def add_listed(self, digests: Iterable[str]) -> None:
        """Add the digests that an index lists, of any algorithm."""
        self._execute_many("INSERT OR IGNORE INTO listed VALUES (?)", ((bytes.fromhex(each),) for each in digests))

    def is_listed(self, digest: str) -> bool:
        """Return whether an index lists the digest."""
        return bool(self._execute("SELECT 1 FROM listed WHERE digest = ?", bytes.fromhex(digest)))

    def protect_listed(self, cause: Cause) -> None:
        """Protect the stored blobs whose SHA-256 an index lists."""
        self._execute(
            "UPDATE stored SET cause = ? WHERE cause = 0 AND digest IN (SELECT digest FROM listed)", int(cause)
        )

    def close(self) -> None:
        """Discard the database."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _connection(self) -> sqlite3.Connection:
        """The database, created with the first use: most commands clean up nothing."""
        if self._opened is None:
            self._opened = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            for statement in (f"PRAGMA cache_size = -{_CACHE_KIB}", "PRAGMA journal_mode = OFF", *_TABLES):
                self._opened.execute(statement)
        return self._opened

    def _execute(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _failure(error) from error

    def _execute_many(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        while batch := list(itertools.islice(rows, 10_000)):
            try:
                self._connection.execute("BEGIN")
                self._connection.executemany(statement, batch)
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise _failure(error) from error


def _failure(error: sqlite3.Error) -> StorageFailure:
    return StorageFailure(
        f"the temporary database of the clean-up failed: {error}; free some space in the folder of temporary files"
    )
