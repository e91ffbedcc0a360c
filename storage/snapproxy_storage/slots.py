"""Slots: counting semaphores shared by all processes on this machine, for example for upstream connections.

A slot is a lock on one byte of an empty file. Taking it writes nothing, so it works on a full disk, and the kernel
frees it if the process dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import SLOTS
from snapproxy_storage.locks import try_lock, unlock
from snapproxy_storage.open_folder import OpenFolder

_MAX_COUNT = 1 << 12
"""The maximum number of slots of a name: the distance between the byte ranges of two names."""


class LocalSlot:
    """A slot that was taken. Call `release` once."""

    def __init__(self, fd: int, at: int) -> None:
        self._fd = fd
        self._at = at

    def release(self) -> None:
        if self._fd >= 0:
            unlock(self._fd, start=self._at, length=1)
            os.close(self._fd)
            self._fd = -1


class LocalSlots:
    """Slots as locks on byte ranges of one file."""

    def __init__(self, folder: OpenFolder) -> None:
        self._folder = folder
        try:
            os.close(folder.open(SLOTS, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise os_failure(f"cannot open {folder.path / SLOTS}", error) from error

    def take(self, name: str, count: int) -> LocalSlot | None:
        if not 0 < count <= _MAX_COUNT:
            raise ValueError(f"the number of slots must be 1 to {_MAX_COUNT}, not {count}")
        # 48 bits of the hash of the name: with a thousand names, two share a range in one of 10^8 stores.
        first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) * _MAX_COUNT
        try:
            with contextlib.ExitStack() as undo:
                fd = self._folder.open(SLOTS, os.O_RDWR)
                undo.callback(os.close, fd)
                for at in range(first, first + count):
                    if try_lock(fd, start=at, length=1):
                        undo.pop_all()
                        return LocalSlot(fd, at)
        except OSError as error:
            raise os_failure(f"cannot lock {self._folder.path / SLOTS}", error) from error
        return None
