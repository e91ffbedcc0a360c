"""Values of a key over time, as spans between two moments at which the same value was told and no other in between.

A span forgets the moments inside it. When another value turns up there, what is surely left are the two ends; the stretches
beside the newcomer become *unknown*: rows without a value, which claim nothing and which no later span may grow across, since
one of the forgotten moments may lie there.

Of two values told for the very same second, the later one stands, *alone*: it answers for that second and joins nothing, since a
span across it would deny the other. The same holds for whatever is told for a second of an unknown stretch.
"""

from __future__ import annotations

import sqlite3
from typing import TypeAlias

_Span: TypeAlias = tuple[int, int, str | None, int]

_COLUMNS = "SELECT first, last, value, alone FROM span WHERE key = ?"
_AT_OR_BEFORE = f"{_COLUMNS} AND first <= ? ORDER BY first DESC LIMIT 1"
_AFTER = f"{_COLUMNS} AND first > ? ORDER BY first LIMIT 1"


def insert_observation(writer: sqlite3.Connection, key: str, at: int, value: str) -> None:
    """`key` had `value` at `at`. Observations may come in any order. Runs inside the caller's transaction."""
    standing = _fetch(writer, _AT_OR_BEFORE, key, at)
    if standing is not None and at <= standing[1]:
        if standing[2] != value:
            _split(writer, key, at, standing)
            _add(writer, key, at, at, value, alone=True)
        return
    first = last = at
    for neighbour in (standing, _fetch(writer, _AFTER, key, at)):
        if neighbour is not None and neighbour[2] == value and not neighbour[3]:
            writer.execute("DELETE FROM span WHERE key = ? AND first = ?", (key, neighbour[0]))
            first, last = min(first, neighbour[0]), max(last, neighbour[1])
    _add(writer, key, first, last, value)


def _split(writer: sqlite3.Connection, key: str, at: int, span: _Span) -> None:
    """Take the moment `at` out of a span, and leave of the rest what is still sure."""
    first, last, value, _ = span
    writer.execute("DELETE FROM span WHERE key = ? AND first = ?", (key, first))
    if value is not None:
        for end in {first, last} - {at}:
            _add(writer, key, end, end, value)
        first, last = first + 1, last - 1
    _add(writer, key, first, at - 1, None)
    _add(writer, key, max(at + 1, first), last, None)


def _add(
    writer: sqlite3.Connection, key: str, first: int, last: int, value: str | None, *, alone: bool = False
) -> None:
    if first <= last:
        writer.execute("INSERT INTO span VALUES (?, ?, ?, ?, ?)", (key, first, last, value, alone))


def _fetch(writer: sqlite3.Connection, statement: str, key: str, at: int) -> _Span | None:
    found: _Span | None = writer.execute(statement, (key, at)).fetchone()
    return found
