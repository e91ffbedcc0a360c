"""Decompress zchunk, a format for downloading metadata in parts: a header, then independently compressed chunks.

The module implements version 1 of the zchunk project's zchunk_format.txt. It does not check the checksums of header and
chunks, which serve partial downloads: callers have checked the digest of the whole file. `unpack` bounds the total
output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import zstandard

from snapproxy.errors import ArchiveDataError

MAGIC = b"\x00ZCK1"

MAX_HEADER = 4 << 20
"""Maximum bytes of a header: about 22 for each chunk, one chunk a source package; Fedora has 25,000 of these."""
MAX_CHUNK = 16 << 20
"""Maximum bytes of one chunk, compressed or not; createrepo_c puts the packages of one source into a chunk."""

#: Length of a checksum in bytes, by type: SHA-1, SHA-256, SHA-512, and SHA-512 truncated to 128 bits.
_CHECKSUM_SIZES = {0: 20, 1: 32, 2: 64, 3: 16}
_PLAIN, _ZSTD = 0, 2
_LONGEST_INTEGER = 9


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The compressed and the decompressed size of a chunk in bytes, as listed in the header."""

    size: int
    open_size: int


class _ChunkStream:
    """Read exact numbers of bytes, and zchunk's integers, from a stream of pieces."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._waiting = bytearray()

    def take(self, count: int) -> bytes:
        while len(self._waiting) < count:
            piece = next(self._source, b"")
            if not piece:
                raise ArchiveDataError("The compressed index is truncated", why="It ends within its header or a chunk.")
            self._waiting += piece
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        return taken

    def integer(self) -> int:
        """Read a number of seven bits a byte, least significant first. The last byte has its top bit set."""
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
    """Yield the decompressed chunks, one by one, without the dictionary.

    `source` has no empty pieces. Raises ArchiveDataError if the data is damaged, truncated, followed by more bytes,
    uses an unsupported feature (data streams, optional elements), or exceeds a bound.
    """
    stream = _ChunkStream(source)
    stream.take(len(MAGIC))
    checksum = _checksum_size(stream)
    size = stream.integer()
    if size > MAX_HEADER:
        raise ArchiveDataError("The compressed index is too large", why=f"Its header has more than {MAX_HEADER} bytes.")
    stream.take(checksum)
    compression, (first, *chunks) = _header(_ChunkStream(iter([stream.take(size)])), checksum)
    packed = stream.take(first.size)
    dictionary = zstandard.ZstdCompressionDict(_unpack(packed, first, compression, None)) if packed else None
    for chunk in chunks:
        if chunk.size:
            yield _unpack(stream.take(chunk.size), chunk, compression, dictionary)
    if not stream.is_over():
        raise ArchiveDataError("The compressed index has trailing bytes", why="Data follows its last chunk.")


def _header(header: _ChunkStream, checksum: int) -> tuple[int, list[_Chunk]]:
    """Return the compression type and the listed chunks, of which the first is the dictionary (of size 0 if unused)."""
    header.take(checksum)
    if flags := header.integer():
        raise ArchiveDataError("The compressed index has an unsupported format", why=f"Its zchunk flags: {flags:#x}.")
    compression = header.integer()
    if compression not in (_PLAIN, _ZSTD):
        raise ArchiveDataError("The compressed index has an unsupported format", why=f"Its compression: {compression}.")
    index = _ChunkStream(iter([header.take(header.integer())]))
    chunk_checksum = _checksum_size(index)
    count = index.integer()
    chunks = []
    while not index.is_over():
        index.take(chunk_checksum)
        chunks.append(_Chunk(index.integer(), index.integer()))
        if max(chunks[-1].size, chunks[-1].open_size) > MAX_CHUNK:
            raise ArchiveDataError("The compressed index is too large", why=f"A chunk has more than {MAX_CHUNK} bytes.")
    if not chunks or len(chunks) != count:
        raise _damaged("The number of chunks in its header is wrong.")
    return compression, chunks


def _unpack(data: bytes, chunk: _Chunk, compression: int, dictionary: zstandard.ZstdCompressionDict | None) -> bytes:
    if compression == _ZSTD:
        try:
            # The decoder would allocate any size that the frame declares.
            declared = zstandard.frame_content_size(data)
            if declared not in (-1, chunk.open_size):
                raise _damaged("The size of a chunk differs from the header.")
            data = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(
                data, max_output_size=chunk.open_size, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise _damaged(f"Decompression failed: {error}") from error
    if len(data) != chunk.open_size:
        raise _damaged("The size of a chunk differs from the header.")
    return data


def _checksum_size(stream: _ChunkStream) -> int:
    kind = stream.integer()
    if kind not in _CHECKSUM_SIZES:
        raise ArchiveDataError("The compressed index has an unsupported format", why=f"Its checksum type: {kind}.")
    return _CHECKSUM_SIZES[kind]


def _damaged(why: str) -> ArchiveDataError:
    return ArchiveDataError("The compressed index is damaged", why=why)
