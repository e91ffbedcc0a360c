"""The schema of the catalog, and the migrations from every older version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from snapproxy_storage.protocols import StorageFailure

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE name (space TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
           proof INTEGER NOT NULL, extra TEXT NOT NULL, PRIMARY KEY (space, name)) WITHOUT ROWID""",
        """CREATE TABLE span (key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, value TEXT,
           PRIMARY KEY (key, first)) WITHOUT ROWID""",
        "CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires INTEGER) WITHOUT ROWID",
        "CREATE TABLE journal (sequence INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, entry TEXT NOT NULL)",
        "CREATE INDEX journal_stream ON journal (stream, sequence)",
    ),
    ("DROP TABLE journal",),  # it was never used: journals are separate files
    ("ALTER TABLE span ADD COLUMN alone INTEGER NOT NULL DEFAULT 0",),
    ("CREATE TABLE blob (digest TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID",),
    ("CREATE TABLE served (digest TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",),
    (
        "ALTER TABLE name ADD COLUMN written INTEGER",
        "CREATE INDEX name_written ON name (written) WHERE written IS NOT NULL",
        "CREATE INDEX fact_expires ON fact (expires) WHERE expires IS NOT NULL",
    ),
)
"""The statements that lead to version 1, 2, ... Never change a released migration; append a new one."""

VERSION = len(_MIGRATIONS)

BLOB_IDENTITIES = 4
"""The first version with the table `blob`."""


def migrate(writer: sqlite3.Connection, path: Path) -> None:
    """Migrate the catalog to `VERSION`, each step in its own transaction. The caller must hold the store's lock.

    Raises StorageFailure for a catalog that a newer program wrote, because this program cannot interpret its tables.
    """
    (version,) = writer.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StorageFailure(
            f"the catalog {path} was written by a newer program: its schema version is {version}, "
            f"this program supports up to {VERSION}; upgrade, or use another state directory"
        )
    for number, statements in enumerate(_MIGRATIONS[version:], start=version + 1):
        writer.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                writer.execute(statement)
            writer.execute(f"PRAGMA user_version = {number}")
            writer.execute("COMMIT")
        except sqlite3.Error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise
