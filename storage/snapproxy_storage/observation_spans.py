"""The observed values of a key over time, stored as spans: two times with the same value and no other value in between.

A span does not record the times of the observations inside it. If another value is observed inside a span, only the two
ends of the span remain certain. The ranges between them and the new observation become *unknown*: rows without a value.
A later span must not extend across an unknown range, because it may contain an observation of the split span.

Of two values observed at the same second, the one recorded later replaces the other, *alone*: it is valid for that
second and does not join a span, because a span across that second would contradict the other observation. The same
applies to an observation at a second inside an unknown range.
"""

from __future__ import annotations

import sqlite3
from typing import TypeAlias

_Span: TypeAlias = tuple[int, int, str | None, int]

_COLUMNS = "SELECT first, last, value, alone FROM span WHERE key = ?"
_AT_OR_BEFORE = f"{_COLUMNS} AND first <= ? ORDER BY first DESC LIMIT 1"
_AFTER = f"{_COLUMNS} AND first > ? ORDER BY first LIMIT 1"


def insert_observation(writer: sqlite3.Connection, key: str, at: int, value: str) -> None:
    """Record that `key` had `value` at the time `at`, inside the caller's transaction.

    Any order of times is allowed.
    """
    existing = _fetch(writer, _AT_OR_BEFORE, key, at)
    if existing is not None and at <= existing[1]:
        if existing[2] != value:
            _split(writer, key, at, existing)
            _add(writer, key, at, at, value, alone=True)
        return
    first = last = at
    for neighbour in (existing, _fetch(writer, _AFTER, key, at)):
        if neighbour is not None and neighbour[2] == value and not neighbour[3]:
            writer.execute("DELETE FROM span WHERE key = ? AND first = ?", (key, neighbour[0]))
            first, last = min(first, neighbour[0]), max(last, neighbour[1])
    _add(writer, key, first, last, value)


def _split(writer: sqlite3.Connection, key: str, at: int, span: _Span) -> None:
    """Remove the time `at` from a span. Its two ends remain, the other seconds become unknown."""
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
