"""Delete the rows of the catalog that may be forgotten, in short transactions: other writes run in between."""

from __future__ import annotations

import functools
import json
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

Write = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]
"""Runs an operation in a transaction of its own, and returns its result."""

_BATCH = 2000
"""Maximum rows of one transaction: a few milliseconds."""

_LAST = "\U0010ffff"

_FORGETTABLE = """SELECT (SELECT count(*) FROM name WHERE written IS NOT NULL),
    (SELECT count(*) FROM fact WHERE expires IS NOT NULL)"""
_OLDEST_NAMES = """DELETE FROM name WHERE (space, name) IN (SELECT space, name FROM name
    WHERE written IS NOT NULL AND space NOT IN (SELECT value FROM json_each(?)) ORDER BY written LIMIT ?)"""
_EXPIRED_FACTS = "DELETE FROM fact WHERE key IN (SELECT key FROM fact WHERE expires <= ? LIMIT ?)"
_SOONEST_FACTS = "DELETE FROM fact WHERE key IN (SELECT key FROM fact WHERE expires NOTNULL ORDER BY expires LIMIT ?)"

_BY_DIGEST = {
    "name": (
        """SELECT space, name, digest FROM name WHERE (space, name) > (?, ?) AND space BETWEEN ? AND ?
           ORDER BY space, name LIMIT ?""",
        "DELETE FROM name WHERE space = ? AND name = ?",
        ("", ""),
    ),
    "fact": (
        "SELECT key, substr(key, -64) FROM fact WHERE key > ? AND key BETWEEN ? AND ? ORDER BY key LIMIT ?",
        "DELETE FROM fact WHERE key = ?",
        ("",),
    ),
    "served": (
        "SELECT digest, digest FROM served WHERE digest > ? AND digest BETWEEN ? AND ? ORDER BY digest LIMIT ?",
        "DELETE FROM served WHERE digest = ?",
        ("",),
    ),
    "blob": (
        """SELECT digest, CASE identity WHEN '' THEN '' ELSE digest END FROM blob
           WHERE digest > ? AND digest BETWEEN ? AND ? ORDER BY digest LIMIT ?""",
        "DELETE FROM blob WHERE digest = ?",
        ("",),
    ),
}
"""By table: select the keys and the digest of a batch, delete a row, the key before all. A damaged blob stays."""


async def tidy(write: Write, now: int, most_names: int, most_facts: int, kept: Collection[str]) -> int:
    """Do the work of `Catalog.tidy`."""
    deleted = await _repeat(write, _EXPIRED_FACTS, (now,), sys.maxsize)
    names, facts = await write(lambda writer: writer.execute(_FORGETTABLE).fetchone())
    deleted += await _repeat(write, _OLDEST_NAMES, (json.dumps(list(kept)),), names - most_names)
    return deleted + await _repeat(write, _SOONEST_FACTS, (), facts - most_facts)


async def drop_dangling(
    write: Write, is_stored: Callable[[str], bool], spaces: Sequence[str], facts: Sequence[str]
) -> int:
    """Do the work of `Catalog.drop_dangling`, and delete the records of blobs that are not stored."""
    work = [("name", space, space) for space in spaces]
    work += [("fact", fact, fact + _LAST) for fact in facts]
    work += [("served", "", _LAST), ("blob", "", _LAST)]
    return sum([await _drop_dangling(write, is_stored, *each) for each in work])


async def _repeat(write: Write, delete: str, values: tuple[Any, ...], count: int) -> int:
    """Delete rows in batches: until `count` are deleted, or until a batch is not full."""
    total = 0
    while count > total:
        arguments = (*values, min(count - total, _BATCH))
        deleted: int = await write(functools.partial(_delete, statement=delete, values=arguments))
        total += deleted
        if deleted < _BATCH:
            break
    return total


def _delete(writer: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> int:
    return writer.execute(statement, values).rowcount


async def _drop_dangling(write: Write, is_stored: Callable[[str], bool], table: str, first: str, last: str) -> int:
    """Delete the rows of a table whose key, or first part of the key, is between `first` and `last`."""
    select, delete, after = _BY_DIGEST[table]
    total = 0

    def drop_batch(writer: sqlite3.Connection) -> tuple[tuple[str, ...], int]:
        """Return the last key of the batch, empty at the end, and the number of deleted rows."""
        rows = writer.execute(select, (*after, first, last, _BATCH)).fetchall()
        gone = [key for *key, digest in rows if digest and not is_stored(digest)]
        writer.executemany(delete, gone)
        return (tuple(rows[-1][:-1]) if len(rows) == _BATCH else ()), len(gone)

    while after:
        after, count = await write(drop_batch)
        total += count
    return total
