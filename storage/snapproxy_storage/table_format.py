"""The format of a table file: sorted rows in blocks with checksums, and an index of the blocks.

This module does no I/O.

    magic | block ... | index | trailer

    block    rows, then the offset of each row in the block (u32 each), then their count (u32)
    row      length of the name (u32), length of the value (u32), name (UTF-8), value
    index    for each block: offset (u64), length (u32), CRC-32 (u32), length of its first name (u32), that name
    trailer  offset of the index (u64), number of blocks (u32), CRC-32 of the index (u32), magic

A block is checked each time it is read, and opening a table reads only the index. Names are compared as UTF-8, which is
the order of their code points.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAGIC = b"table 1\n"
TRAILER = struct.Struct("<QII8s")
_ROW = struct.Struct("<II")
_COUNT = struct.Struct("<I")
_ENTRY = struct.Struct("<QIII")
_BLOCK = 16 * 1024
"""Bytes of rows after which a block ends. A look-up reads, checks and searches one block (10 us)."""

Row = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """The position and checksum of a block."""

    offset: int
    length: int
    checksum: int


def write_table(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the bytes of the file. The rows must be sorted by name and have unique names."""
    yield MAGIC
    offset, index, blocks = len(MAGIC), bytearray(), 0
    for first, block in _blocks(rows):
        index += _ENTRY.pack(offset, len(block), zlib.crc32(block), len(first)) + first
        blocks += 1
        offset += len(block)
        yield block
    yield bytes(index)
    yield TRAILER.pack(offset, blocks, zlib.crc32(index), MAGIC)


def index_place(trailer: bytes, size: int) -> tuple[int, int] | None:
    """Return the first and the last offset of the index of a file of `size` bytes, None if the trailer is damaged."""
    if len(trailer) != TRAILER.size:
        return None
    offset, _, _, magic = TRAILER.unpack(trailer)
    end = size - TRAILER.size
    return (offset, end) if magic == MAGIC and len(MAGIC) <= offset <= end else None


def read_index(index: bytes, trailer: bytes) -> tuple[list[bytes], list[BlockEntry]] | None:
    """Return the first name and the position of each block. Return None if the index is truncated or damaged."""
    _, blocks, checksum, _ = TRAILER.unpack(trailer)
    if zlib.crc32(index) != checksum:
        return None
    offset = 0
    names, entries = [], []
    for _ in range(blocks):
        *place, length = _ENTRY.unpack_from(index, offset)
        offset += _ENTRY.size
        names.append(index[offset : offset + length])
        entries.append(BlockEntry(*place))
        offset += length
    return names, entries


def is_sound(block: bytes, entry: BlockEntry) -> bool:
    """Return whether these are the bytes of the block."""
    return len(block) == entry.length and zlib.crc32(block) == entry.checksum


def find(block: bytes, name: bytes) -> bytes | None:
    """Return the value of `name` in a sound block, None if the block does not contain it."""
    low, high = 0, _count(block)
    while low < high:
        middle = (low + high) // 2
        found, value = _row(block, middle)
        if found == name:
            return value
        if found < name:
            low = middle + 1
        else:
            high = middle
    return None


def block_rows(block: bytes) -> Iterator[Row]:
    """Yield the rows of a sound block."""
    for number in range(_count(block)):
        yield _row(block, number)


def _blocks(rows: Iterable[Row]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the first name and the bytes of each block."""
    first, block = b"", bytearray()
    offsets: list[int] = []
    for name, value in rows:
        if not offsets:
            first = name
        offsets.append(len(block))
        block += _ROW.pack(len(name), len(value)) + name + value
        if len(block) >= _BLOCK:
            yield first, _closed(block, offsets)
            block, offsets = bytearray(), []
    if offsets:
        yield first, _closed(block, offsets)


def _closed(block: bytearray, offsets: list[int]) -> bytes:
    return bytes(block) + struct.pack(f"<{len(offsets)}I", *offsets) + _COUNT.pack(len(offsets))


def _count(block: bytes) -> int:
    (count,) = _COUNT.unpack_from(block, len(block) - _COUNT.size)
    return int(count)


def _row(block: bytes, number: int) -> Row:
    offsets = len(block) - _COUNT.size * (1 + _count(block))
    (place,) = _COUNT.unpack_from(block, offsets + _COUNT.size * number)
    start = place + _ROW.size
    name_length, value_length = _ROW.unpack_from(block, place)
    middle = start + name_length
    return block[start:middle], block[middle : middle + value_length]
