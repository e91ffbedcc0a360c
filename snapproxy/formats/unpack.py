"""Unpacks an index whatever it is packed with, in bounded memory: gzip, bzip2, xz, lzma, zstd, zchunk, or not at all.

The format is told from the first bytes, never from the name: by-hash has no suffix, and a server may serve what it likes.
Several members in a row are one stream (gzip's own rule, and pzstd's and pixz's habit).
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

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.zchunk import MAGIC as ZCHUNK
from snapproxy.formats.zchunk import unpack_zchunk

MAX_SIZE = 1 << 30
"""Bytes an index may unpack to; the largest Packages (Ubuntu's universe, sid) are about 70 MB."""
MAX_RATIO = 200
"""Unpacked bytes a packed byte may become; real Packages files stay under 10."""
MAX_MEMBERS = 4096
"""Members in a row."""

_PIECE = 256 << 10
_RATIO_FREE = 4 << 20  # a small file of repeated text may shrink beyond any ratio and harm nobody
_DECODER_MEMORY = 256 << 20  # `xz -9` needs 65 MiB; zstd has a limit of its own, a window of 128 MiB
_LONGEST_MAGIC = 6
# A zstd block becomes 128 KiB from as little as 4 bytes and its decoder knows no output limit: 512 bytes in, 16 MiB out at most.
_ZSTD_SLICE = 512
# With one of these pzstd's files begin (RFC 8878, section 3.1.2).
_SKIPPABLE_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_DAMAGE = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError)  # the last is bz2's


class _Decoder(Protocol):
    """What bz2's and lzma's decompressors have; the two below are fitted to it."""

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
    chunks: Iterable[bytes], *, max_size: int = MAX_SIZE, max_ratio: int = MAX_RATIO, max_members: int = MAX_MEMBERS
) -> Iterator[bytes]:
    """Yield the unpacked bytes, piece by piece.

    `max_ratio` counts once 4 MiB have come out. Raises ArchiveDataError when a bound is passed, and when the data is damaged,
    cut short, or followed by anything that is not another member of the same format.
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
        pieces = _members(head, source, meter, opener, 1 if opener is _lzma else max_members)
    for piece in pieces:
        meter.count(len(piece), packed=is_zchunk or opener is not None)
        yield piece


class _Meter:
    """Bytes in and out, against their bounds."""

    def __init__(self, max_size: int, max_ratio: int) -> None:
        self.read = 0
        self._written = 0
        self._max_size = max_size
        self._max_ratio = max_ratio

    def counted(self, head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what comes in, counted."""
        for piece in itertools.chain((head,), source):
            self.read += len(piece)
            yield piece

    def count(self, size: int, *, packed: bool) -> None:
        self._written += size
        if self._written > self._max_size:
            raise ArchiveDataError("The index is too large", why=f"It unpacks to more than {self._max_size} bytes.")
        if packed and self._written > max(_RATIO_FREE, self.read * self._max_ratio):
            raise ArchiveDataError(
                "The packed index is a bomb", why=f"It unpacks to more than {self._max_ratio} times its size."
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
        return _lzma  # a properties byte and a dictionary size that every encoder writes; it has no true magic
    return None


def _plain(head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from source


def _members(
    data: bytes, source: Iterator[bytes], meter: _Meter, opener: Callable[[], _Decoder], max_members: int
) -> Iterator[bytes]:
    meter.read += len(data)
    for _ in range(max_members):
        decoder = opener()
        while not decoder.eof:
            if decoder.needs_input and not data:
                data = next(source, b"")
                meter.read += len(data)
                if not data:
                    raise ArchiveDataError("The packed index is cut short", why="Its last member has no end.")
            take, data = (data, b"") if decoder.needs_input else (b"", data)
            try:
                piece = decoder.decompress(take, _PIECE)
            except _DAMAGE as error:
                raise ArchiveDataError("The packed index is damaged", why=f"Unpacking says: {error}") from error
            if piece:
                yield piece
        data = _skip_padding(decoder.unused_data, source, meter) if opener is _xz else decoder.unused_data
        if not data:
            data = next(source, b"")
            meter.read += len(data)
            if not data:
                return
    raise ArchiveDataError(
        "The packed index has trailing bytes",
        why=f"More follows after {max_members} members, which is all that is read.",
    )


def _skip_padding(data: bytes, source: Iterator[bytes], meter: _Meter) -> bytes:
    """Return what follows the stream padding, which is zeros in multiples of four (xz file format, section 2.2)."""
    zeros = 0
    while True:
        rest = data.lstrip(b"\x00")
        zeros += len(data) - len(rest)
        if rest or not (data := next(source, b"")):
            break
        meter.read += len(data)
    if zeros % 4:
        raise ArchiveDataError("The packed index is damaged", why="Its padding is not a multiple of four bytes.")
    return rest
