"""The counters of one process as bytes: a head, one word for each name, then the names in records of fixed size.

A process maps its file and writes into it; other processes read the file. A name is written before the number of names
is increased, so a reader finds no name without its value.
"""

from __future__ import annotations

import struct

from snapproxy_storage.counter_protocols import MAX_COUNTER_NAME, MAX_COUNTERS, OTHER_COUNTER, CounterCell

_MAGIC = b"snapproxy counters 1\n"
_USED = struct.Struct("=q")
_USED_AT = 64
_VALUES_AT = 128
_WORD = 8
_RECORD = MAX_COUNTER_NAME + 1  # the kind and the name, padded by zeros
_NAMES_AT = _VALUES_AT + MAX_COUNTERS * _WORD

PAGE_SIZE = _NAMES_AT + MAX_COUNTERS * _RECORD

_COUNTER, _GAUGE = b"c", b"g"


class CounterPage:
    """The page over a writable buffer of PAGE_SIZE zeros, a mapped file or memory."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._words = buffer[_VALUES_AT:_NAMES_AT].cast("q")
        self._cells: dict[bytes, memoryview] = {}
        buffer[: len(_MAGIC)] = _MAGIC
        self._place(_COUNTER + OTHER_COUNTER.encode())

    def counter(self, name: str) -> CounterCell:
        """Return the word of a counter."""
        return self._cell(_COUNTER, name)

    def gauge(self, name: str) -> CounterCell | None:
        """Return the word of a gauge, None if its name is too long or one too many."""
        cell = self._cell(_GAUGE, name)
        return None if cell is self._cells[_COUNTER + OTHER_COUNTER.encode()] else cell

    def _cell(self, kind: bytes, name: str) -> memoryview:
        key = kind + name.encode("utf-8", "replace")
        known = self._cells.get(key)
        if known is not None:
            return known
        if len(key) > _RECORD or b"\0" in key or len(self._cells) == MAX_COUNTERS:
            return self._cells[_COUNTER + OTHER_COUNTER.encode()]
        return self._place(key)

    def _place(self, key: bytes) -> memoryview:
        at = len(self._cells)
        self._buffer[_NAMES_AT + at * _RECORD : _NAMES_AT + at * _RECORD + len(key)] = key
        self._buffer[_USED_AT : _USED_AT + _USED.size] = _USED.pack(at + 1)
        cell = self._cells[key] = self._words[at : at + 1]
        return cell

    def read(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the counters and the gauges. Another thread may add some meanwhile."""
        found: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for key, cell in list(self._cells.items()):
            found[key.startswith(_GAUGE)][key[1:].decode()] = cell[0]
        return found


def read_page(data: bytes) -> tuple[dict[str, int], dict[str, int]] | None:
    """Return the counters and the gauges of the page of another process, None for bytes that are not a page."""
    if len(data) != PAGE_SIZE or not data.startswith(_MAGIC):
        return None
    (used,) = _USED.unpack_from(data, _USED_AT)
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for at in range(min(used, MAX_COUNTERS)):
        start = _NAMES_AT + at * _RECORD
        key = data[start : start + _RECORD].rstrip(b"\0")
        (value,) = _USED.unpack_from(data, _VALUES_AT + at * _WORD)
        if key[:1] in (_COUNTER, _GAUGE):
            found[key.startswith(_GAUGE)][key[1:].decode("utf-8", "replace")] = value
    return found
