"""The lock between the removal of blobs and the recording of references to them, for all processes on the machine.

A process that records a reference holds the lock shared, checks that the blob exists, and records. The process that
removes blobs holds it alone, reads the new references, and removes. So a blob to which a reference was recorded is not
removed, and a reference to a removed blob is not recorded.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import REMOVALS
from snapproxy_storage.locks import lock, try_lock_shared
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import StorageFailure


class LocalHold:
    """A shared lock. Call `release` once; releasing again has no effect."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)  # which releases the lock of this open file description
            self._fd = -1


class EvictionLock:
    """The lock of one store. Each holder opens the file, because the owner of a lock is an open file description."""

    def __init__(self, folder: OpenFolder) -> None:
        self._folder = folder
        os.close(self._opened())

    def hold(self) -> LocalHold | None:
        """Take the lock shared, without waiting. Return None while blobs are being removed."""
        fd = self._opened()
        try:
            if try_lock_shared(fd):
                return LocalHold(fd)
        except OSError as error:
            os.close(fd)
            raise self._failure(error) from error
        os.close(fd)
        return None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Take the lock alone. It waits for the holders: call it on a thread."""
        fd = self._opened()
        try:
            try:
                lock(fd)
            except OSError as error:
                raise self._failure(error) from error
            yield
        finally:
            os.close(fd)

    def _opened(self) -> int:
        try:
            return self._folder.open(REMOVALS, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> StorageFailure:
        return os_failure(f"cannot lock {self._folder.path / REMOVALS}", error)


def has_readers(fd: int) -> bool:
    """Return whether another open file description, in any process, has this file open.

    A write lease is granted only if none has (fcntl(2), F_SETLEASE). The caller must be the owner of the file. Return
    False if the file system knows no leases.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
