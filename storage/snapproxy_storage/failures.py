"""Turns what the operating system and SQLite say into a StorageFailure: what, why, and what to do about it."""

from __future__ import annotations

import errno
import os
import sqlite3

from snapproxy_storage.protocols import StorageFailure

DISK_FULL = "disk full; ask again"
"""What readers in other processes are told when the disk fills under a draft."""

_FULL = (errno.ENOSPC, errno.EDQUOT)

_HINTS = {
    errno.ENOSPC: "free some space on that file system",
    errno.EDQUOT: "raise the quota, or free some space",
    errno.EACCES: "make it readable and writable for the user this runs as, or name another folder",
    errno.EPERM: "make it readable and writable for the user this runs as, or name another folder",
    errno.EROFS: "mount it writable, or name another folder",
    errno.ELOOP: "a symbolic link stands there: replace it by what it points to",
    errno.ENOTDIR: "something that is no folder stands there: move it away",
    errno.EEXIST: "something that is no folder stands there: move it away",
    errno.EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE=)",
    errno.ENOLCK: "its file system has no locks: put it on a local disk",
    errno.EIO: "the disk reports errors: check it",
}


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, is used up."""
    return error.errno in _FULL


def os_failure(what: str, error: OSError) -> StorageFailure:
    """Explain a failed system call. `what` reads as a sentence's beginning: "cannot open the draft /..."."""
    why = os.strerror(error.errno) if error.errno else str(error)
    hint = _HINTS.get(error.errno or 0)
    return StorageFailure(f"{what}: {why}; {hint}" if hint else f"{what}: {why}")


def sqlite_failure(what: str, error: sqlite3.Error) -> StorageFailure:
    """Explain a failed statement."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    hint = {
        sqlite3.SQLITE_FULL: "free some space on that file system",
        sqlite3.SQLITE_READONLY: "make it writable for the user this runs as",
        sqlite3.SQLITE_CANTOPEN: "make it readable and writable for the user this runs as",
        sqlite3.SQLITE_BUSY: "another process holds it; try again",
        sqlite3.SQLITE_IOERR: "the disk is full or reports errors: check it",
        sqlite3.SQLITE_CORRUPT: "it is damaged: move it away",
        sqlite3.SQLITE_NOTADB: "it is damaged: move it away",
    }.get(code)
    return StorageFailure(f"{what}: {error}; {hint}" if hint else f"{what}: {error}")
