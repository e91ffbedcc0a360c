"""Decompress an index in bounded memory: gzip, bzip2, xz, lzma, zstd, zchunk, or uncompressed.

The format is detected from the first bytes, never from the name: by-hash names have no suffix, and a server may serve
any content. Consecutive members form one stream (a rule of gzip; pzstd and pixz write such files too). Bytes after the
last member are dropped: some tools pad their files with zeros, and apt, dnf and pacman read such files.
"""

from __future__ import annotations

import bz2
import itertools
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import zstandard

from snapproxy.errors import ArchiveDataError, Drop, SurplusError, refuse_entry
from snapproxy.formats.zchunk import MAGIC as ZCHUNK
from snapproxy.formats.zchunk import unpack_zchunk

MAX_SIZE = 1 << 30
"""Maximum decompressed size of an index in bytes; the largest Packages (Ubuntu's universe, sid) have about 70 MB."""
MAX_RATIO = 200
"""Maximum decompressed bytes for each compressed byte; real Packages files have less than 10."""
MAX_MEMBERS = 4096
"""Maximum number of consecutive members of one file."""

_PIECE = 256 << 10
_RATIO_FREE = 4 << 20  # a small file of repeated text may compress beyond any ratio and is harmless
_DECODER_MEMORY = 256 << 20  # `xz -9` needs 65 MiB; zstd's decoder has its own limit, a window of 128 MiB
_LONGEST_MAGIC = 6
# 4 bytes of zstd may decompress to a block of 128 KiB, and its decoder has no output limit. 512 bytes of input result
# in at most 16 MiB.
_ZSTD_SLICE = 512
# Files of pzstd begin with such a frame (RFC 8878, section 3.1.2).
_SKIPPABLE_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_DAMAGE = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError)  # bz2 raises OSError


class _Decoder(Protocol):
    """The interface of bz2's and lzma's decompressors. `_Gzip` and `_Zstd` adapt zlib and zstandard to it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail
        return piece


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()
        self._waiting = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._waiting.tobytes()

    def decompress(self, data: bytes, max_length: int) -> bytes:  # noqa: ARG002 -- zstd has no limit, hence the slices
        waiting = memoryview(data) if data else self._waiting
        self._waiting = waiting[_ZSTD_SLICE:]
        return self._inner.decompress(waiting[:_ZSTD_SLICE])


def _xz() -> _Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER_MEMORY)


def _lzma() -> _Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_DECODER_MEMORY)


def unpack(
    chunks: Iterable[bytes],
    *,
    max_size: int = MAX_SIZE,
    max_ratio: int = MAX_RATIO,
    max_members: int = MAX_MEMBERS,
    drop: Drop = refuse_entry,
) -> Iterator[bytes]:
    """Yield the decompressed bytes, piece by piece.

    `max_ratio` applies from 4 MiB of output on. Bytes after the last member that do not begin another member of the
    same format are dropped. Raises ArchiveDataError if a bound is exceeded, and if the data is damaged or truncated.
    """
    source = filter(None, chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= _LONGEST_MAGIC:
            break
    is_zchunk = head.startswith(ZCHUNK)
    opener = _opener(head)
    meter = _Meter(max_size, max_ratio)
    if is_zchunk:
        pieces = unpack_zchunk(meter.counted(head, source))
    elif opener is None:
        pieces = _plain(head, source)
    else:
        pieces = _members(head, source, meter, opener, 1 if opener is _lzma else max_members, drop)
    for piece in pieces:
        meter.count(len(piece), packed=is_zchunk or opener is not None)
        yield piece


class _Meter:
    """Count the bytes of input and output, and enforce the bounds on them."""

    def __init__(self, max_size: int, max_ratio: int) -> None:
        self.read = 0
        self._written = 0
        self._max_size = max_size
        self._max_ratio = max_ratio

    def counted(self, head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces of the input and count their bytes."""
        for piece in itertools.chain((head,), source):
            self.read += len(piece)
            yield piece

    def count(self, size: int, *, packed: bool) -> None:
        self._written += size
        if self._written > self._max_size:
            raise ArchiveDataError("The index is too large", why=f"It decompresses to over {self._max_size} bytes.")
        if packed and self._written > max(_RATIO_FREE, self.read * self._max_ratio):
            raise ArchiveDataError(
                "The index is a decompression bomb", why=f"It expands to more than {self._max_ratio} times its size."
            )


def _opener(head: bytes) -> Callable[[], _Decoder] | None:
    if head.startswith(b"\x1f\x8b"):
        return _Gzip
    if head.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if head.startswith(b"\xfd7zXZ\x00"):
        return _xz
    if head.startswith(b"\x28\xb5\x2f\xfd") or _SKIPPABLE_FRAME.match(head):
        return _Zstd
    if head.startswith(b"]\x00\x00"):
        return _lzma  # it has no magic number; every encoder writes this properties byte and dictionary size
    return None


def _plain(head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from source


def _members(
    data: bytes, source: Iterator[bytes], meter: _Meter, opener: Callable[[], _Decoder], max_members: int, drop: Drop
) -> Iterator[bytes]:
    meter.read += len(data)
    for _ in range(max_members):
        decoder = opener()
        while not decoder.eof:
            if decoder.needs_input and not data:
                data = next(source, b"")
                meter.read += len(data)
                if not data:
                    raise ArchiveDataError("The compressed index is truncated", why="Its last member is incomplete.")
            take, data = (data, b"") if decoder.needs_input else (b"", data)
            try:
                piece = decoder.decompress(take, _PIECE)
            except _DAMAGE as error:
                why = f"Decompression failed: {error}"
                raise ArchiveDataError("The compressed index is damaged", why=why) from error
            if piece:
                yield piece
        data = _next_member(decoder.unused_data, source, meter, opener, drop)
        if not data:
            return
    raise ArchiveDataError(
        "The compressed index has trailing bytes",
        why=f"Data follows its member number {max_members}, the last one allowed.",
    )


def _next_member(
    data: bytes, source: Iterator[bytes], meter: _Meter, opener: Callable[[], _Decoder], drop: Drop
) -> bytes:
    """Return the first bytes of the next member, b'' if there is none. Bytes after the last member are dropped."""
    padding = 0
    if opener is _xz:
        data, padding = _skip_padding(data, source, meter)
    while len(data) < _LONGEST_MAGIC and (more := next(source, b"")):
        meter.read += len(more)
        data += more
    if _opener(data) is not opener:
        if data or padding % 4:
            drop(SurplusError("The compressed index has trailing bytes", why="They do not begin another member."))
        for _ in source:  # the source checks its bytes until its end
            pass
        return b""
    if padding % 4:
        raise ArchiveDataError("The compressed index is damaged", why="Its padding is not a multiple of four bytes.")
    return data


def _skip_padding(data: bytes, source: Iterator[bytes], meter: _Meter) -> tuple[bytes, int]:
    """Return the bytes after the stream padding, and its length.

    It is zero bytes in multiples of four (xz file format, section 2.2).
    """
    zeros = 0
    while True:
        rest = data.lstrip(b"\x00")
        zeros += len(data) - len(rest)
        if rest or not (data := next(source, b"")):
            break
        meter.read += len(data)
    return rest, zeros
