"""Locks that the kernel frees when their holder dies: open file description locks (fcntl(2), F_OFD_*).

They belong to one opening of a file, not to a process, so two drafts in one process exclude each other like two in two
processes do, and a test for a lock (F_OFD_GETLK) never takes it. A range may lie past the end of the file.
"""

from __future__ import annotations

import errno
import fcntl
import struct

_FLOCK = struct.Struct("@hhqqi0q")  # struct flock: l_type, l_whence, l_start, l_len, l_pid (must be 0)


def try_lock(fd: int, *, start: int = 0, length: int = 0) -> bool:
    """Take the lock on a range of bytes (length 0: to the end) of a file opened for writing; False when another opening holds it."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, start, length, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def lock(fd: int) -> None:
    """Take the lock on the whole file, waiting for it."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0))


def unlock(fd: int, *, start: int = 0, length: int = 0) -> None:
    """Give up the lock now, even where a forked child still has the descriptor open."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, 0, start, length, 0))


def is_locked(fd: int) -> bool:
    """Whether another opening of this file holds a lock on any of it. Takes nothing; reading rights suffice."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
