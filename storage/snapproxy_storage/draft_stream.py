"""The state of one arriving draft for the readers in this process, and those readers.

A stream is updated by the draft's writer if that is in this process (`LocalDraft`), otherwise by a `DraftPoller`. It
reads bytes from the file or the memory window, but never the state of the files.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable

from snapproxy_storage.failures import DISK_FULL, RESTARTED
from snapproxy_storage.file_reading import read_pieces
from snapproxy_storage.memory_window import MemoryWindow
from snapproxy_storage.notifier import Notifier
from snapproxy_storage.protocols import DraftFailed, Meta, StorageFailure

_MEMORY_PIECE = 256 * 1024


class DraftStream:
    """The state of an arriving draft.

    `reader` is a descriptor of its file, owned by the stream; None without a file.
    """

    def __init__(self, reader: int | None) -> None:
        self.reader = reader
        self.meta = Meta()
        self.available = 0
        self.size: int | None = None
        """The final size, once the draft is complete."""
        self.failure: StorageFailure | None = None
        self.on_disk = 0
        """If there is a window: the bytes before this offset are in the file."""
        self.window: MemoryWindow | None = None
        self.followers: set[DraftReader] = set()
        self.moved = Notifier()
        """Notifies when more bytes may be read, or when the draft has ended."""
        self.consumed = Notifier()
        """Notifies when a reader has advanced, if there is a window."""
        self.on_wait: Callable[[], None] = lambda: None
        """Called when a reader starts to wait."""
        self.on_idle: Callable[[], None] = lambda: None
        """Called when the last reader is closed."""
        self._is_fed = True

    @property
    def is_closed(self) -> bool:
        """Whether its bytes can no longer be read: it has ended, and its file was closed with the last reader."""
        return not self._is_fed and not self.followers

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
        """Mark the stream as no longer updated: its descriptor is closed with its last reader."""
        self._is_fed = False
        self._close_unused()

    def restarted(self, reader: int | None) -> DraftStream:
        """Return the stream for a new file that starts at zero; `reader` is its descriptor.

        The readers continue on it, unless the draft was described: they may have used a length that is now wrong.
        """
        if self.meta != Meta():
            self.fail(DraftFailed(RESTARTED))
            self.retire()
            return DraftStream(reader)
        if self.reader is not None:
            os.close(self.reader)
        self.reader = reader
        return self

    def _close_unused(self) -> None:
        if self._is_fed or self.followers:
            return
        if (
            self.window is not None
        ):  # freed here: references to the stream may remain until the next collection of cycles
            self.window.clear()
            self.on_disk = 0
        if self.reader is not None:
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
        """Fail every present and future reader. Has no effect on a complete draft."""
        if self.size is None and self.failure is None:
            self.failure = error
            self.moved.notify()

    def spill(self, on_disk: int, window: MemoryWindow) -> None:
        """Continue with the window: the disk is full, and the file ends at `on_disk`."""
        self.on_disk, self.window = on_disk, window

    def needed_from(self) -> int | None:
        """Return the first offset in the window that a reader still needs, None if the window can serve no reader."""
        if self.window is None:
            return None
        start = self.window.start
        # A reader before the window can catch up through the file only while the window starts where the file ends.
        needed = [
            max(reader.position, start)
            for reader in self.followers
            if reader.position >= start or start == self.on_disk
        ]
        return min(needed, default=None)

    async def make_room(self, seconds: float, is_ended: Callable[[], bool]) -> None:
        """Wait until the window is within its capacity, that is, until the slowest reader has advanced.

        After `seconds` the window drops the bytes that readers still need, which fails those readers. Raises
        DiskFailure if no reader needs the bytes: they can neither be stored nor be sent.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        window = self.window
        while window is not None and window.is_overfull and not is_ended():
            needed = self.needed_from()
            remaining = deadline - loop.time()
            if needed is None:
                raise window.misfit()
            window.drop_to(window.end if remaining <= 0 else needed)
            if window.is_overfull:
                await self.consumed.wait(remaining)

    async def wait(self, offset: int) -> int:
        """Return the number of readable bytes, once it exceeds `offset` or is final.

        Raises the failure of the draft.
        """
        while True:
            if self.failure is not None:
                # A new exception for each reader, because raising one appends to its traceback.
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
        """The last requested offset. The reader no longer needs the bytes before it."""

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
                raise StorageFailure("cannot read a closed body")
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
    """All bytes of a draft that the full disk could not store. It can be read like a blob while it is open.

    Reading bytes that have left the window raises DraftFailed.
    """

    def __init__(self, stream: DraftStream, digest: str, size: int) -> None:
        super().__init__(stream)
        self.digest = digest
        self._size = size
        stream.followers.add(self)

    @property
    def size(self) -> int:
        return self._size
