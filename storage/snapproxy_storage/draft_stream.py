"""What the readers in this process see of one arriving draft, and those readers.

A stream is fed from outside: by the draft's writer where that is in this process (`draft`), else by a watch that polls the
files (`watch`). It never looks at the files' state itself.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

from snapproxy_storage.failures import DISK_FULL
from snapproxy_storage.file_reading import read_pieces
from snapproxy_storage.memory_window import MemoryWindow
from snapproxy_storage.notifier import Notifier
from snapproxy_storage.protocols import DraftFailed, Meta, StorageFailure

_MEMORY_PIECE = 256 * 1024


class DraftStream:
    """The state of an arriving draft. `reader` is a descriptor of its file, which the stream owns; None where there is no file."""

    def __init__(self, reader: int | None) -> None:
        self.reader = reader
        self.meta = Meta()
        self.available = 0
        self.size: int | None = None
        """The final size, once it is whole."""
        self.failure: StorageFailure | None = None
        self.on_disk = 0
        """Once there is a window: the bytes before this offset are in the file."""
        self.window: MemoryWindow | None = None
        self.followers: set[DraftReader] = set()
        self.moved = Notifier()
        """Rings when more may be read, or nothing more will come."""
        self.consumed = Notifier()
        """Rings when a reader has moved on; only once there is a window."""
        self.on_wait: Callable[[], None] = lambda: None
        """Called when a reader begins to wait."""
        self.on_idle: Callable[[], None] = lambda: None
        """Called when the last reader has left."""
        self._is_fed = True

    @property
    def is_closed(self) -> bool:
        """Whether its bytes can be read here no more: nobody feeds it, and its file has been closed with the last reader."""
        return not self._is_fed and self.reader is None and self.window is None

    def follow(self) -> DraftReader:
        follower = DraftReader(self)
        self.followers.add(follower)
        return follower

    def leave(self, follower: DraftReader) -> None:
        self.followers.discard(follower)
        self.consumed.notify()
        if not self.followers:
            self.on_idle()
            self._close_unused()

    def retire(self) -> None:
        """Nobody will feed this any more: close the descriptor with its last reader."""
        self._is_fed = False
        self._close_unused()

    def replace_reader(self, reader: int | None) -> None:
        """Go on with another file, of which no reader has been shown anything yet."""
        if self.reader is not None:
            os.close(self.reader)
        self.reader = reader

    def _close_unused(self) -> None:
        if not self._is_fed and not self.followers and self.reader is not None:
            os.close(self.reader)
            self.reader = None

    def describe(self, meta: Meta) -> None:
        self.meta = meta
        self.moved.notify()

    def advance(self, available: int) -> None:
        if available > self.available:
            self.available = available
            self.moved.notify()

    def finish(self, size: int) -> None:
        self.size = self.available = size
        self.moved.notify()

    def fail(self, error: StorageFailure) -> None:
        """Fail every reader, now and later. Something whole stays whole."""
        if self.size is None and self.failure is None:
            self.failure = error
            self.moved.notify()

    def spill(self, on_disk: int, window: MemoryWindow) -> None:
        """Go on from the window: the disk is full, and the file ends at `on_disk`."""
        self.on_disk, self.window = on_disk, window

    def needed_from(self) -> int | None:
        """Return the first byte of the window that some reader has yet to see, None when no reader can still be served from it."""
        if self.window is None:
            return None
        start = self.window.start
        # A reader before the window is still in the file while the window begins where the file ends, and lost after that.
        wanted = [
            max(reader.position, start)
            for reader in self.followers
            if reader.position >= start or start == self.on_disk
        ]
        return min(wanted, default=None)

    async def wait(self, offset: int) -> int:
        """Return how many bytes there are, once that is more than `offset` or all. Raises what the draft failed with."""
        while True:
            if self.failure is not None:
                # One each: a raised exception collects its raiser's traceback.
                raise type(self.failure)(*self.failure.args)
            if self.available > offset or self.size is not None:
                return self.available
            self.on_wait()
            await self.moved.wait()


class DraftReader:
    """One reader of a stream."""

    def __init__(self, stream: DraftStream) -> None:
        self._stream = stream
        self._is_closed = False
        self.position = 0
        """The offset it last asked for: what stands before is no longer needed."""

    @property
    def size(self) -> int | None:
        return self._stream.size if self._stream.size is not None else self._stream.meta.length

    @property
    def meta(self) -> Meta:
        return self._stream.meta

    def fileno(self) -> int | None:
        return None if self._is_in_memory(self.position) else self._stream.reader

    async def wait(self, offset: int) -> int:
        self._move(offset)
        available = await self._stream.wait(offset)
        window = self._stream.window
        if window is None:
            return available
        if not self._is_in_memory(offset):
            return min(available, self._stream.on_disk)
        if offset < window.start:
            raise DraftFailed(DISK_FULL)
        return available

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            end = min(await self.wait(start), stop)
            if end <= start:
                return
            window, reader = self._stream.window, self._stream.reader
            if window is not None and self._is_in_memory(start):
                data = window.read(start, min(end, start + _MEMORY_PIECE))
                start += len(data)
                yield data
            elif reader is not None:
                async for piece in read_pieces(reader, start, end):
                    start += len(piece)
                    yield piece
            else:
                raise StorageFailure("this body has been closed")
        self._move(stop)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._stream.leave(self)

    def _is_in_memory(self, offset: int) -> bool:
        return self._stream.window is not None and offset >= self._stream.on_disk

    def _move(self, offset: int) -> None:
        self.position = offset
        if self._stream.window is not None:
            self._stream.consumed.notify()


class UnstoredBlob(DraftReader):
    """All bytes of a draft that the full disk could not name: like a blob, for as long as it is open.

    Bytes that have left the window raise DraftFailed.
    """

    def __init__(self, stream: DraftStream, digest: str, size: int) -> None:
        super().__init__(stream)
        self.digest = digest
        self._size = size
        stream.followers.add(self)

    @property
    def size(self) -> int:
        return self._size
