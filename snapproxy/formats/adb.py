"""Read the values of an ADB block, apk's binary format: numbers, byte strings and lists of values.

The format is described in apk-v3(5) and in adb.h of apk-tools 3.0. A value is a little-endian word of 32 bits: 4 bits
of type, and 28 bits that are a number or an offset into the block. A list (an array or an object) is a count, which
includes the count itself, followed by the values. apk treats a value whose offset lies outside the block as absent; in
this module it is an error. `adb_index` and `adb_package` interpret the lists.
"""

from __future__ import annotations

import struct

from snapproxy.errors import ArchiveDataError

NULL = 0

_TYPE_SHIFT = 28
_PAYLOAD = (1 << _TYPE_SHIFT) - 1
_NUMBER, _NUMBER_32, _NUMBER_64 = 1, 2, 3
_NUMBER_SIZES = {_NUMBER_32: 4, _NUMBER_64: 8}
_LENGTH_SIZES = {0x8: 1, 0x9: 2, 0xA: 4}
_LISTS = (0xD, 0xE)


class Values:
    """The values of one ADB block.

    Every method raises ArchiveDataError for a value that has another type, lies outside the block, or exceeds a bound.
    """

    def __init__(self, block: bytes) -> None:
        self._block = block
        if block[:1] != b"\0":  # the next byte counts compatible changes, and the two after it are reserved
            raise ArchiveDataError("The adb file has an unknown version", why=f"Its block begins with {block[:8]!r}.")
        self.root = self._number_at(4, 4)

    def fields(self, value: int, most: int) -> tuple[int, ...]:
        """Return the values of an object or array, () if it is absent. `most` is the maximum number of values."""
        if value == NULL:
            return ()
        kind, at = _split(value)
        if kind not in _LISTS:
            raise _unexpected(value)
        count = self._number_at(at, 4) - 1
        if not 0 <= count <= most or at + 4 * (count + 1) > len(self._block):
            raise ArchiveDataError("An adb list has an invalid length", why=f"Its count is {count}, the limit {most}.")
        return struct.unpack_from(f"<{count}I", self._block, at + 4)

    def span(self, value: int, most: int) -> tuple[int, int] | None:
        """Return the start and end offsets of a string's bytes in the block, None if it is absent.

        `most` is the maximum length in bytes.
        """
        if value == NULL:
            return None
        kind, at = _split(value)
        if kind not in _LENGTH_SIZES:
            raise _unexpected(value)
        start = at + _LENGTH_SIZES[kind]
        length = self._number_at(at, _LENGTH_SIZES[kind])
        if length > most or start + length > len(self._block):
            raise ArchiveDataError(
                "An adb string has an invalid length", why=f"It has {length} bytes, the limit is {most}."
            )
        return start, start + length

    def string(self, value: int, most: int) -> bytes:
        """Return a string, b'' if it is absent."""
        span = self.span(value, most)
        return b"" if span is None else self._block[slice(*span)]

    def number(self, value: int) -> int:
        """Return a number, 0 if it is absent."""
        if value == NULL:
            return 0
        kind, payload = _split(value)
        if kind == _NUMBER:
            return payload
        if kind not in _NUMBER_SIZES:
            raise _unexpected(value)
        return self._number_at(payload, _NUMBER_SIZES[kind])

    def _number_at(self, at: int, size: int) -> int:
        if at + size > len(self._block):
            raise ArchiveDataError("An adb value lies outside its block", why=f"Its offset is {at}.")
        return int.from_bytes(self._block[at : at + size], "little")


def field(fields: tuple[int, ...], number: int) -> int:
    """Return a field of an object by its number, counted from 1. NULL if the object has fewer fields."""
    return fields[number - 1] if number <= len(fields) else NULL


def _split(value: int) -> tuple[int, int]:
    return value >> _TYPE_SHIFT, value & _PAYLOAD


def _unexpected(value: int) -> ArchiveDataError:
    return ArchiveDataError("An adb value has the wrong type", why=f"The value is {value:#010x}.")
