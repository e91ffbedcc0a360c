"""Read and write apk's containers of version 3.

The input is genuine files made by apk 3.0.6 (tests/data/README.md), unpacked, changed and packed again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

GENUINE = Path("tests/data/apk")
RSA_ID = "e32a487a0a3dd3ce149136447ceeb1a3"
EC_ID = "5a8ff81f08b59c4b4a22351456d6140b"
ADB, SIGNATURE, DATA = 0, 1, 2


def genuine(name: str) -> bytes:
    return (GENUINE / name).read_bytes()


def unpacked(data: bytes) -> bytes:
    """Return a container uncompressed."""
    match data[:4]:
        case b"ADBd":
            return zlib.decompress(data[4:], -zlib.MAX_WBITS)
        case b"ADBc" if data[4] == 1:
            return zlib.decompress(data[6:], -zlib.MAX_WBITS)
    return data


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"ADBd" + packer.compress(data) + packer.flush()


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Split a container that has no extended blocks into (kind, content) of each block."""
    data, found = unpacked(data)[8:], []
    while data:
        (word,) = struct.unpack_from("<I", data)
        size = word & 0x3FFFFFFF
        found.append((word >> 30, data[4:size]))
        data = data[size + -size % 8 :]
    return found


def block(kind: int, content: bytes, filler: bytes = b"\0", *, is_extended: bool = False) -> bytes:
    if is_extended:
        content = struct.pack("<IIQ", 3 << 30 | kind, 0, 16 + len(content)) + content
    else:
        content = struct.pack("<I", kind << 30 | 4 + len(content)) + content
    return content + filler * (-len(content) % 8)


def container(schema: bytes, *parts: tuple[int, bytes]) -> bytes:
    """Join blocks into an uncompressed container."""
    return b"ADB." + schema + b"".join(block(*part) for part in parts)


def changed(data: bytes, change: Callable[[bytearray], None], number: int = 0) -> bytes:
    """Return a container with the block of that number changed; compressed with deflate if it was compressed at all."""
    parts = blocks(data)
    content = bytearray(parts[number][1])
    change(content)
    parts[number] = (parts[number][0], bytes(content))
    whole = container(unpacked(data)[4:8], *parts)
    return whole if data.startswith(b"ADB.") else deflated(whole)
