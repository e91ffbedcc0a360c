"""Reads zchunk, the form of metadata that clients may bring by parts: a header, then chunks that are packed each for itself.

After zchunk_format.txt of the zchunk project, version 1. Its checksums are for those who bring parts: who reads a file here has checked it
as a whole, by its promise. Bounds on what comes out altogether are `unpack`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import zstandard

from snapproxy.errors import ArchiveDataError

MAGIC = b"\x00ZCK1"

MAX_HEADER = 4 << 20
"""Bytes of a header: some 22 a chunk, and a chunk a source package; Fedora has 25,000 of those."""
MAX_CHUNK = 16 << 20
"""Bytes of one chunk, packed or unpacked; createrepo_c puts the packages of one source into each."""

#: Bytes of a checksum, by its type's number: SHA-1, SHA-256, SHA-512, and the first 128 bits of that.
_CHECKSUM_SIZES = {0: 20, 1: 32, 2: 64, 3: 16}
_PLAIN, _ZSTD = 0, 2
_LONGEST_INTEGER = 9


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Sizes in bytes, as the header tells them."""

    size: int
    open_size: int


class _ChunkStream:
    """Bytes by the count."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._waiting = bytearray()

    def take(self, count: int) -> bytes:
        while len(self._waiting) < count:
            piece = next(self._source, b"")
            if not piece:
                raise ArchiveDataError("The packed index is cut short", why="It ends within its header or a chunk.")
            self._waiting += piece
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        return taken

    def integer(self) -> int:
        """Read a number by seven bits a byte, the lowest first; the last byte has its top bit set."""
        value = 0
        for place in range(_LONGEST_INTEGER):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << 7 * place
            if byte & 0x80:
                return value
        raise _damaged("A number in its header has no end.")

    def is_over(self) -> bool:
        return not self._waiting and not next(self._source, b"")


def unpack_zchunk(source: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what the chunks unpack to, one by one; a dictionary is none of it.

    `source` has no empty pieces. Raises ArchiveDataError when the data is damaged, cut short, followed by anything, of a kind that is not
    read here (data streams, optional elements), or beyond a bound.
    """
    stream = _ChunkStream(source)
    stream.take(len(MAGIC))
    checksum = _checksum_size(stream)
    size = stream.integer()
    if size > MAX_HEADER:
        raise ArchiveDataError("The packed index is too large", why=f"Its header has more than {MAX_HEADER} bytes.")
    stream.take(checksum)
    compression, (first, *chunks) = _header(_ChunkStream(iter([stream.take(size)])), checksum)
    packed = stream.take(first.size)
    dictionary = zstandard.ZstdCompressionDict(_unpack(packed, first, compression, None)) if packed else None
    for chunk in chunks:
        if chunk.size:
            yield _unpack(stream.take(chunk.size), chunk, compression, dictionary)
    if not stream.is_over():
        raise ArchiveDataError("The packed index has trailing bytes", why="More follows after its last chunk.")


def _header(header: _ChunkStream, checksum: int) -> tuple[int, list[_Chunk]]:
    """Return the kind of compression, and the dictionary and the chunks as the index lists them."""
    header.take(checksum)
    if flags := header.integer():
        raise ArchiveDataError("The packed index is of an unknown kind", why=f"Its zchunk flags are {flags:#x}.")
    compression = header.integer()
    if compression not in (_PLAIN, _ZSTD):
        raise ArchiveDataError("The packed index is of an unknown kind", why=f"Its compression is {compression}.")
    index = _ChunkStream(iter([header.take(header.integer())]))
    chunk_checksum = _checksum_size(index)
    count = index.integer()
    chunks = []
    while not index.is_over():
        index.take(chunk_checksum)
        chunks.append(_Chunk(index.integer(), index.integer()))
        if max(chunks[-1].size, chunks[-1].open_size) > MAX_CHUNK:
            raise ArchiveDataError("The packed index is too large", why=f"A chunk has more than {MAX_CHUNK} bytes.")
    if not chunks or len(chunks) != count:
        raise _damaged("Its header lists another number of chunks than it says.")
    return compression, chunks


def _unpack(data: bytes, chunk: _Chunk, compression: int, dictionary: zstandard.ZstdCompressionDict | None) -> bytes:
    if compression == _ZSTD:
        try:
            # The decoder would make room for whatever a frame says of itself.
            declared = zstandard.frame_content_size(data)
            if declared not in (-1, chunk.open_size):
                raise _damaged("A chunk has another size than its header says.")
            data = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(
                data, max_output_size=chunk.open_size, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise _damaged(f"Unpacking says: {error}") from error
    if len(data) != chunk.open_size:
        raise _damaged("A chunk has another size than its header says.")
    return data


def _checksum_size(stream: _ChunkStream) -> int:
    kind = stream.integer()
    if kind not in _CHECKSUM_SIZES:
        raise ArchiveDataError("The packed index is of an unknown kind", why=f"Its checksum type is {kind}.")
    return _CHECKSUM_SIZES[kind]


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("The packed index is damaged", why=why)
