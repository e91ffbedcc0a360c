"""Reads the values in an ADB block, apk's own binary form (apk-v3(5), adb.h of apk-tools 3.0): numbers, byte strings, and lists of values.

A value is a word of 32 bits, little-endian: four bits of type, and 28 that are a number or an offset into the block. Lists (arrays and
objects alike) are a count, which counts itself, and the values. apk reads what points outside its block as absent; here it is an error.
What the lists mean is read in `adb_index` and `adb_package`.
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
    """The values of one ADB block. Everything raises ArchiveDataError for a value of another type, out of the block, or above a bound."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        if block[:1] != b"\0":  # then a byte that tells of compatible changes, and two that are reserved
            raise ArchiveDataError("The adb file has an unknown version", why=f"Its block begins with {block[:8]!r}.")
        self.root = self._number_at(4, 4)

    def fields(self, value: int, most: int) -> tuple[int, ...]:
        """Return the values of an object or array, () for an absent one; `most` is how many it may have."""
        if value == NULL:
            return ()
        kind, at = _split(value)
        if kind not in _LISTS:
            raise _unexpected(value)
        count = self._number_at(at, 4) - 1
        if not 0 <= count <= most or at + 4 * (count + 1) > len(self._block):
            raise ArchiveDataError("An adb list has an absurd length", why=f"It is said to have {count} values.")
        return struct.unpack_from(f"<{count}I", self._block, at + 4)

    def span(self, value: int, most: int) -> tuple[int, int] | None:
        """Return where in the block the bytes of a string begin and end, None for an absent one; `most` is how many they may be."""
        if value == NULL:
            return None
        kind, at = _split(value)
        if kind not in _LENGTH_SIZES:
            raise _unexpected(value)
        start = at + _LENGTH_SIZES[kind]
        length = self._number_at(at, _LENGTH_SIZES[kind])
        if length > most or start + length > len(self._block):
            raise ArchiveDataError("An adb string has an absurd length", why=f"It is said to have {length} bytes.")
        return start, start + length

    def string(self, value: int, most: int) -> bytes:
        """Return a string, b'' for an absent one."""
        span = self.span(value, most)
        return b"" if span is None else self._block[slice(*span)]

    def number(self, value: int) -> int:
        """Return a number, 0 for an absent one."""
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
            raise ArchiveDataError("An adb value lies outside its block", why=f"It is said to begin at {at}.")
        return int.from_bytes(self._block[at : at + size], "little")


def field(fields: tuple[int, ...], number: int) -> int:
    """Return the field of an object by its number, which counts from 1; NULL where the object ends before it."""
    return fields[number - 1] if number <= len(fields) else NULL


def _split(value: int) -> tuple[int, int]:
    return value >> _TYPE_SHIFT, value & _PAYLOAD


def _unexpected(value: int) -> ArchiveDataError:
    return ArchiveDataError("An adb value has the wrong type", why=f"The value is {value:#010x}.")
