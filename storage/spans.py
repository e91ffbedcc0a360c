"""Values of a key over time, as spans between two moments at which the same value was seen and no other in between.

A span forgets the moments inside it. When another value turns up there, what is surely left are the two ends; the stretches
beside the newcomer become *unknown*: rows without a value, which claim nothing and which no later span may grow across, since
one of the forgotten moments may lie there. Of two values seen at the very same second, the one told later stands.
"""

from __future__ import annotations

import sqlite3
from typing import TypeAlias

_Span: TypeAlias = tuple[int, int, str | None]

_AT_OR_BEFORE = "SELECT first, last, value FROM span WHERE key = ? AND first <= ? ORDER BY first DESC LIMIT 1"
_AFTER = "SELECT first, last, value FROM span WHERE key = ? AND first > ? ORDER BY first LIMIT 1"


def insert_observation(writer: sqlite3.Connection, key: str, at: int, value: str) -> None:
    """`key` had `value` at `at`. Observations may come in any order. Runs inside the caller's transaction."""
    before = _fetch(writer, _AT_OR_BEFORE, key, at)
    if before is not None and at <= before[1]:
        if before[2] == value:
            return
        _split(writer, key, at, before)
    first = last = at
    for neighbour in (_fetch(writer, _AT_OR_BEFORE, key, at), _fetch(writer, _AFTER, key, at)):
        if neighbour is not None and neighbour[2] == value:
            writer.execute("DELETE FROM span WHERE key = ? AND first = ?", (key, neighbour[0]))
            first, last = min(first, neighbour[0]), max(last, neighbour[1])
    _add(writer, key, first, last, value)


def _split(writer: sqlite3.Connection, key: str, at: int, span: _Span) -> None:
    """Take the moment `at` out of a span, and leave of the rest what is still sure."""
    first, last, value = span
    writer.execute("DELETE FROM span WHERE key = ? AND first = ?", (key, first))
    if value is not None:
        for end in {first, last} - {at}:
            _add(writer, key, end, end, value)
        first, last = first + 1, last - 1
    _add(writer, key, first, at - 1, None)
    _add(writer, key, at + 1, last, None)


def _add(writer: sqlite3.Connection, key: str, first: int, last: int, value: str | None) -> None:
    if first <= last:
        writer.execute("INSERT INTO span VALUES (?, ?, ?, ?)", (key, first, last, value))


def _fetch(writer: sqlite3.Connection, statement: str, key: str, at: int) -> _Span | None:
    found: _Span | None = writer.execute(statement, (key, at)).fetchone()
    return found
