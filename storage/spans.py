"""Values of a key over time, as spans between two moments at which the same value was seen and no other in between.

A span never claims more than was seen: when another value turns up inside one, what is left of it are the two moments at its
ends, since those in between have been forgotten. Of two values seen at the very same second, the one told later stands.
"""

from __future__ import annotations

import sqlite3


def insert_observation(writer: sqlite3.Connection, key: str, at: int, value: str) -> None:
    """`key` had `value` at `at`. Observations may come in any order. Runs inside the caller's transaction."""
    before = writer.execute(
        "SELECT first, last, value FROM span WHERE key = ? AND first <= ? ORDER BY first DESC LIMIT 1", (key, at)
    ).fetchone()
    if before is not None and at <= before[1]:
        if before[2] == value:
            return
        _split(writer, key, at, before)
    _insert(writer, key, at, value)


def _split(writer: sqlite3.Connection, key: str, at: int, span: tuple[int, int, str]) -> None:
    """Leave of a span only its ends, without the moment `at`."""
    first, last, value = span
    writer.execute("DELETE FROM span WHERE key = ? AND first = ?", (key, first))
    for end in {first, last} - {at}:
        writer.execute("INSERT INTO span VALUES (?, ?, ?, ?)", (key, end, end, value))


def _insert(writer: sqlite3.Connection, key: str, at: int, value: str) -> None:
    """Add a moment that no span covers, joined with the neighbours that hold the same value."""
    first = last = at
    before = "SELECT first, last, value FROM span WHERE key = ? AND first < ? ORDER BY first DESC LIMIT 1"
    after = "SELECT first, last, value FROM span WHERE key = ? AND first > ? ORDER BY first LIMIT 1"
    for statement in (before, after):
        neighbour = writer.execute(statement, (key, at)).fetchone()
        if neighbour is not None and neighbour[2] == value:
            writer.execute("DELETE FROM span WHERE key = ? AND first = ?", (key, neighbour[0]))
            first, last = min(first, neighbour[0]), max(last, neighbour[1])
    writer.execute("INSERT INTO span VALUES (?, ?, ?, ?)", (key, first, last, value))
