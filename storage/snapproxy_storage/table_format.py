"""The format of a table file: sorted rows in blocks with checksums, and an index of the blocks.

This module does no I/O.

    magic | block ... | index | trailer

    block    rows, then the offset of each row in the block (u32 each), then their count (u32)
    row      length of the name (u32), length of the value (u32), name (UTF-8), value
    index    for each block: offset (u64), length (u32), CRC-32 (u32), length of its first name (u32), that name
    trailer  offset of the index (u64), number of blocks (u32), CRC-32 of the index (u32), magic

A block is checked when it is first read, so that opening a table reads only the index. Names are compared as UTF-8,
which is the order of their code points.
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
"""Bytes of rows after which a block ends. A look-up checks one block (6 us) and searches it."""

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


def read_index(data: memoryview) -> tuple[list[bytes], list[BlockEntry]] | None:
    """Return the first name and the position of each block. Return None if the file is truncated or damaged."""
    if len(data) < len(MAGIC) + TRAILER.size or data[: len(MAGIC)] != MAGIC:
        return None
    end = len(data) - TRAILER.size
    offset, blocks, checksum, magic = TRAILER.unpack_from(data, end)
    if magic != MAGIC or offset > end or zlib.crc32(data[offset:end]) != checksum:
        return None
    names, entries = [], []
    for _ in range(blocks):
        *place, length = _ENTRY.unpack_from(data, offset)
        offset += _ENTRY.size
        names.append(bytes(data[offset : offset + length]))
        entries.append(BlockEntry(*place))
        offset += length
    return names, entries


def is_sound(data: memoryview, entry: BlockEntry) -> bool:
    """Return whether the checksum of the block is correct."""
    return zlib.crc32(data[entry.offset : entry.offset + entry.length]) == entry.checksum


def find(data: memoryview, entry: BlockEntry, name: bytes) -> bytes | None:
    """Return the value of `name` in a sound block, None if the block does not contain it."""
    low, high = 0, _count(data, entry)
    while low < high:
        middle = (low + high) // 2
        found, value = _row(data, entry, middle)
        if found == name:
            return value
        if found < name:
            low = middle + 1
        else:
            high = middle
    return None


def block_rows(data: memoryview, entry: BlockEntry) -> Iterator[Row]:
    """Yield the rows of a sound block."""
    for number in range(_count(data, entry)):
        yield _row(data, entry, number)


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


def _count(data: memoryview, entry: BlockEntry) -> int:
    (count,) = _COUNT.unpack_from(data, entry.offset + entry.length - _COUNT.size)
    return int(count)


def _row(data: memoryview, entry: BlockEntry, number: int) -> Row:
    offsets = entry.offset + entry.length - _COUNT.size * (1 + _count(data, entry))
    (place,) = _COUNT.unpack_from(data, offsets + _COUNT.size * number)
    start = entry.offset + place + _ROW.size
    name_length, value_length = _ROW.unpack_from(data, start - _ROW.size)
    middle = start + name_length
    return bytes(data[start:middle]), bytes(data[middle : middle + value_length])
