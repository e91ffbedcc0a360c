"""File locks that the kernel releases when their holder dies: open file description locks (fcntl(2), F_OFD_*).

The owner of a lock is an open file description, not a process. Two drafts in one process therefore exclude each other
in the same way as in two processes, and testing for a lock (F_OFD_GETLK) does not take it. A locked range may lie
beyond the end of the file.
"""

from __future__ import annotations

import errno
import fcntl
import struct

_FLOCK = struct.Struct("@hhqqi0q")  # struct flock: l_type, l_whence, l_start, l_len, l_pid (must be 0)


def try_lock(fd: int, *, start: int = 0, length: int = 0) -> bool:
    """Lock a byte range (length 0: to the end) of a file opened for writing.

    Return False if another descriptor has locked it.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, start, length, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def try_lock_shared(fd: int) -> bool:
    """Lock a whole file, opened for reading, together with others that do the same.

    Return False if another descriptor has locked any part of it alone.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, 0, 0, 0, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def lock(fd: int, *, start: int = 0, length: int = 0) -> None:
    """Wait for the lock on a byte range (length 0: to the end) and take it."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _FLOCK.pack(fcntl.F_WRLCK, 0, start, length, 0))


def unlock(fd: int, *, start: int = 0, length: int = 0) -> None:
    """Release the lock, even if a forked child still has the descriptor open."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, 0, start, length, 0))


def is_locked(fd: int, *, start: int = 0, length: int = 0) -> bool:
    """Return whether another open file description has locked any part of the range (length 0: to the end).

    It takes no lock and needs read access only.
    """
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, start, length, 0))
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
