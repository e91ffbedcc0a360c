"""Write zchunk files according to the project's description of the format, for files that no real tool would write.

Checksums are zeros, as no reader under test checks them. The output of the real tool is tested with `rpm_world`.
"""

from __future__ import annotations

from collections.abc import Sequence

import zstandard

SHA256, HALF_OF_A_HALF = 1, 3
_SIZES = {SHA256: 32, HALF_OF_A_HALF: 16}


def integer(value: int) -> bytes:
    """Encode an integer as seven bits per byte, lowest first, with the last byte marked."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F)
        value >>= 7
    return bytes([*out, value | 0x80])


def zchunk(data: bytes, size: int = 500) -> bytes:
    """Compress data in chunks of `size`, without a dictionary."""
    return packed([data[at : at + size] for at in range(0, len(data), size)])


def packed(chunks: Sequence[bytes], *, dictionary: bytes = b"", compression: int = 2) -> bytes:
    """Compress these chunks with a dictionary (raw content), or with `compression` 0 not at all."""
    if compression == 0:
        return assembled([(b"", 0), *((each, len(each)) for each in chunks)], compression=0)
    words = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    alone, shared = zstandard.ZstdCompressor(), zstandard.ZstdCompressor(dict_data=words)
    head = (alone.compress(dictionary), len(dictionary)) if dictionary else (b"", 0)
    return assembled([head, *((shared.compress(each), len(each)) for each in chunks)])


def assembled(
    parts: Sequence[tuple[bytes, int]], *, compression: int = 2, flags: int = 0, count: int | None = None, kind: int = 3
) -> bytes:
    """Assemble a file from (compressed part, announced uncompressed size) pairs; the first is the dictionary."""
    zeros = bytes(_SIZES.get(kind, 16))
    entries = b"".join(zeros + integer(len(part)) + integer(said) for part, said in parts)
    index = integer(kind) + integer(len(parts) if count is None else count) + entries
    header = bytes(32) + integer(flags) + integer(compression) + integer(len(index)) + index + integer(0)
    lead = b"\x00ZCK1" + integer(SHA256) + integer(len(header)) + bytes(32)
    return lead + header + b"".join(part for part, _ in parts)
