"""The epoch: a counter in shared memory that any process increments when recorded data becomes invalid.

Reading it costs no system call.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
from collections.abc import Iterator

from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import EPOCH
from snapproxy_storage.locks import lock, unlock
from snapproxy_storage.open_folder import OpenFolder

_COUNTER = struct.Struct("=Q")  # native byte order: readers load it as one word


class Epoch:
    """The counter, mapped for reading.

    Incrementing writes to the file: a store to a mapping on a full disk kills the process.
    """

    def __init__(self, folder: OpenFolder) -> None:
        self._path = folder.path / EPOCH
        # The kernel lock does not exclude the threads of this process, which share one open file description.
        self._in_process = threading.Lock()
        try:
            self._fd = folder.open(EPOCH, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise os_failure(f"cannot open {self._path}", error) from error
        try:
            with self.exclusively():
                if os.fstat(self._fd).st_size < _COUNTER.size:
                    os.pwrite(self._fd, _COUNTER.pack(0), 0)
            self._map = mmap.mmap(self._fd, _COUNTER.size, prot=mmap.PROT_READ)
        except OSError as error:
            os.close(self._fd)
            raise os_failure(f"cannot use {self._path}", error) from error
        self.word = memoryview(self._map).cast("Q")
        """The counter, as a view of one word: `word[0]`."""

    def bump(self) -> None:
        """Increment the counter. Raises StorageFailure."""
        try:
            with self.exclusively():
                os.pwrite(self._fd, _COUNTER.pack(self.word[0] + 1), 0)
        except OSError as error:
            raise os_failure(f"cannot increment {self._path}", error) from error

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the machine-wide lock of this store: for the counter, and for creating and migrating the catalog."""
        with self._in_process:
            lock(self._fd)
            try:
                yield
            finally:
                unlock(self._fd)

    def close(self) -> None:
        self.word.release()
        self._map.close()
        os.close(self._fd)
