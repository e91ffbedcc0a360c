"""Split apk's adb container into its blocks while it is downloaded, in bounded memory, and decompress it.

A container of version 3 is a file header (`ADB.` and the schema) followed by blocks, each padded to a multiple of eight
bytes: one ADB block with all values (`formats.adb` reads it), then the signatures, then, in a package, one DATA block
for each file. The whole container may be compressed: `ADBd` and a raw deflate stream, or `ADBc`, two bytes that give
algorithm and level, and the stream (apk-v3(5); apk-tools 3.0, adb.c and adb_comp.c).

apk ignores bytes after the end of the stream and the content of the padding. In this module trailing bytes and non-zero
padding are errors, because no signature covers them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

from snapproxy.errors import ArchiveDataError

MAX_METADATA = 64 << 20
"""Maximum bytes of an ADB block. An index of Alpine's largest repository has about 10 MB."""
MAX_SIGNATURE = 4096
"""Maximum bytes of a signature block; apk writes at most 2048."""
MAX_SIGNATURES = 16

INDEX = int.from_bytes(b"indx", "little")
PACKAGE = int.from_bytes(b"pckg", "little")

_MAGIC = b"ADB."
_PIECE = 256 << 10
# As in `formats.unpack`: zstd's decoder has no output limit. 512 bytes of input decompress to at most 16 MiB.
_ZSTD_SLICE = 512
_ADB, _SIGNATURE, _DATA, _EXTENDED = range(4)
_KIND_SHIFT = 30
_SIZE_MASK = (1 << _KIND_SHIFT) - 1
_ALIGNMENT = 8
_LEAST_METADATA = 16


class Receiver(Protocol):
    """Callbacks for the parts of a container, called in file order. An exception from a callback ends the parsing."""

    def schema(self, number: int) -> None:
        """Handle the schema number, which gives the kind of container."""

    def metadata(self, block: bytes) -> None:
        """Handle the ADB block."""

    def signature(self, block: bytes) -> None:
        """Handle a signature block."""

    def begin_file(self, folder: int, file: int, size: int) -> None:
        """Handle the head of a DATA block: folder and file as indexes into the metadata, from 1; the size in bytes."""

    def data(self, piece: memoryview) -> None:
        """Handle the next bytes of the current file."""

    def end_file(self) -> None:
        """Handle the end of the current file: all its bytes were passed to `data`."""


class Container:
    """Parse a container incrementally and call the receiver for each part.

    `take` raises ArchiveDataError at the first violation of the format or of a bound.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._stream = _BlockStream()
        self._gathered = bytearray()
        self._left = 0
        """Bytes of the current DATA block that have not arrived yet."""
        self._padding = 0
        self._signatures = 0
        self._last = -1
        """The kind of the previous block, -1 before the first one."""
        self._expect(8, self._file_header)

    @property
    def is_whole(self) -> bool:
        """Whether the container is complete: the input so far ends after a block, and so does the compressed stream."""
        return self._stream.is_whole and self._last >= 0 and self._next == self._block_header and not self._gathered

    def take(self, data: bytes | memoryview) -> None:
        """Parse the next bytes of the file."""
        for piece in self._stream.unpacked(data):
            self._feed(memoryview(piece))

    def _feed(self, view: memoryview) -> None:
        while view:
            if self._left:
                taken = min(len(view), self._left)
                self._receiver.data(view[:taken])
                self._left -= taken
                if not self._left:
                    self._end_file()
            else:
                taken = min(len(view), self._wanted - len(self._gathered))
                self._gathered += view[:taken]
                if len(self._gathered) == self._wanted:
                    whole = bytes(self._gathered)
                    self._gathered.clear()
                    self._next(whole)
            view = view[taken:]

    def _expect(self, size: int, then: Callable[[bytes], None]) -> None:
        self._wanted = size
        self._next = then

    def _file_header(self, data: bytes) -> None:
        if not data.startswith(_MAGIC):
            raise ArchiveDataError("The file is not an adb file", why=f"It begins with {data[:4]!r}.")
        self._receiver.schema(int.from_bytes(data[4:], "little"))
        self._expect(4, self._block_header)

    def _block_header(self, data: bytes) -> None:
        word = int.from_bytes(data, "little")
        kind, size = word >> _KIND_SHIFT, word & _SIZE_MASK
        if kind == _EXTENDED:  # the size field contains the kind, and a 64-bit size follows
            self._kind = size
            self._expect(12, self._long_size)
        else:
            self._begin(kind, size, 4)

    def _long_size(self, data: bytes) -> None:
        self._begin(self._kind, int.from_bytes(data[4:], "little"), 16)

    def _begin(self, kind: int, size: int, header: int) -> None:
        """Begin a block. `size` includes its header of `header` bytes and excludes its padding."""
        if kind > _DATA or (kind == _ADB) != (self._last < 0) or kind < self._last:
            raise ArchiveDataError("An adb block is out of order", why=f"Kind {kind} follows kind {self._last}.")
        self._last = kind
        self._padding = -size % _ALIGNMENT
        length = size - header
        match kind:
            case 0:
                self._expect(_checked_length(length, _LEAST_METADATA, MAX_METADATA), self._metadata)
            case 1:
                self._signatures += 1
                if self._signatures > MAX_SIGNATURES:
                    raise ArchiveDataError(
                        "The adb file has too many signatures", why=f"It has more than {MAX_SIGNATURES}."
                    )
                self._expect(_checked_length(length, 1, MAX_SIGNATURE), self._signature)
            case _:
                self._size = _checked_length(length, 8, 1 << 63) - 8
                self._expect(8, self._data_header)

    def _metadata(self, data: bytes) -> None:
        self._receiver.metadata(data)
        self._end_block()

    def _signature(self, data: bytes) -> None:
        self._receiver.signature(data)
        self._end_block()

    def _data_header(self, data: bytes) -> None:
        folder, file = struct.unpack("<II", data)
        self._receiver.begin_file(folder, file, self._size)
        self._left = self._size
        if not self._left:
            self._end_file()

    def _end_file(self) -> None:
        self._receiver.end_file()
        self._end_block()

    def _end_block(self) -> None:
        if self._padding:
            self._expect(self._padding, self._check_padding)
        else:
            self._expect(4, self._block_header)

    def _check_padding(self, data: bytes) -> None:
        if data.strip(b"\0"):
            raise ArchiveDataError("The adb file has unsigned parts", why="The padding after a block is not zero.")
        self._expect(4, self._block_header)


def _checked_length(length: int, least: int, most: int) -> int:
    if not least <= length <= most:
        raise ArchiveDataError("An adb block has an invalid size", why=f"It has {length} bytes, not {least} to {most}.")
    return length


class _BlockStream:
    """Decompress a container piece by piece. The format (plain, deflate or zstd) is read from its first bytes."""

    def __init__(self) -> None:
        self._head = b""
        self._decompressor: _Deflate | _ZstdStream | None = None
        self._is_open = False

    @property
    def is_whole(self) -> bool:
        """Whether the compressed stream has ended. True for an uncompressed container, which has no end mark."""
        return self._is_open and (self._decompressor is None or self._decompressor.eof)

    def unpacked(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        if not self._is_open:
            self._head += data
            data = self._open()
        if not data or self._decompressor is None:
            yield data
            return
        try:
            yield from self._decompressor.pieces(data)
        except (zlib.error, zstandard.ZstdError) as error:
            raise ArchiveDataError("The adb file is damaged", why=f"Decompression failed: {error}") from error
        if self._decompressor.unused_data:
            raise ArchiveDataError("The adb file has trailing bytes", why="No signature covers bytes after its end.")

    def _open(self) -> bytes:
        """Choose the decompressor once the file's head is complete. Return the bytes after the head, b'' until then."""
        head = self._head
        if len(head) < 6:  # noqa: PLR2004 -- the longest of the heads below
            return b""
        self._is_open = True
        packing = {b"ADB.": 0, b"ADBd": 1, b"ADBc": head[4]}.get(head[:4])
        if packing is None or packing > 2:  # noqa: PLR2004 -- none, deflate, zstd
            raise ArchiveDataError("The file is not an adb file", why=f"It begins with {head[:6]!r}.")
        self._decompressor = (None, _Deflate(), _ZstdStream())[packing]
        return head[{b"ADB.": 0, b"ADBd": 4, b"ADBc": 6}[head[:4]] :]


class _Deflate:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=-zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def pieces(self, data: bytes | memoryview) -> Iterator[bytes]:
        piece = self._inner.decompress(data, _PIECE)
        yield piece
        while self._inner.unconsumed_tail or len(piece) == _PIECE:
            piece = self._inner.decompress(self._inner.unconsumed_tail, _PIECE)
            yield piece


class _ZstdStream:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    def pieces(self, data: bytes | memoryview) -> Iterator[bytes]:
        waiting = memoryview(data)
        while waiting and not self._inner.eof:
            yield self._inner.decompress(waiting[:_ZSTD_SLICE])
            waiting = waiting[_ZSTD_SLICE:]
        self.unused_data = self._inner.unused_data + bytes(waiting)
