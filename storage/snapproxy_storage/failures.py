"""Translate errors of the operating system and SQLite into StorageFailure: operation, cause and remedy."""

from __future__ import annotations

import errno
import os
import sqlite3

from snapproxy_storage.protocols import DiskFailure, StorageFailure

DISK_FULL = "disk full; try again"
"""The reason that readers in other processes receive when the disk fills up while a draft arrives."""

RESTARTED = "the download restarted from the beginning"
"""The reason that readers receive when a writer discards the bytes of an earlier one."""

_FULL = (errno.ENOSPC, errno.EDQUOT)

_STATES = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is over its quota",
    errno.EROFS: "is read-only",
    errno.EIO: "reports errors",
}
_SQLITE_STATES = {
    sqlite3.SQLITE_FULL: "is full",
    sqlite3.SQLITE_IOERR: "reports errors",
}

_HINTS = {
    errno.ENOSPC: "free some space on that file system",
    errno.EDQUOT: "raise the quota, or free some space",
    errno.EACCES: "make it readable and writable for the user that runs snapproxy, or configure another folder",
    errno.EPERM: "make it readable and writable for the user that runs snapproxy, or configure another folder",
    errno.EROFS: "mount it writable, or configure another folder",
    errno.ELOOP: "it is a symbolic link: replace it by the folder or file that it points to",
    errno.ENOTDIR: "a file exists where a folder is expected: move it away",
    errno.EEXIST: "a file exists where a folder is expected: move it away",
    errno.EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE=)",
    errno.ENOLCK: "its file system does not support locks: put it on a local disk",
    errno.EIO: "the disk reports errors: check it",
}


def is_full(error: OSError) -> bool:
    """Return whether the disk is full or the user's quota is exceeded."""
    return error.errno in _FULL


def is_unwritable(error: OSError) -> bool:
    """Return whether the disk takes no bytes: full, over quota, read-only or faulty."""
    return error.errno in _STATES


def os_failure(what: str, error: OSError) -> StorageFailure:
    """Return the failure of a system call. `what` is the failed operation: "cannot open the draft /..."."""
    why = os.strerror(error.errno) if error.errno else str(error)
    hint = _HINTS.get(error.errno or 0)
    message, state = f"{what}: {why}; {hint}" if hint else f"{what}: {why}", _STATES.get(error.errno or 0)
    return DiskFailure(message, state) if state else StorageFailure(message)


def sqlite_failure(what: str, error: sqlite3.Error) -> StorageFailure:
    """Return the failure of an SQL statement. `what` is the failed operation."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    hint = {
        sqlite3.SQLITE_FULL: "free some space on that file system",
        sqlite3.SQLITE_READONLY: "make it writable for the user that runs snapproxy",
        sqlite3.SQLITE_CANTOPEN: "make it readable and writable for the user that runs snapproxy",
        sqlite3.SQLITE_BUSY: "another process has locked it; try again",
        sqlite3.SQLITE_IOERR: "the disk is full or reports errors: check it",
        sqlite3.SQLITE_CORRUPT: "it is damaged: move it away",
        sqlite3.SQLITE_NOTADB: "it is damaged: move it away",
    }.get(code)
    message, state = f"{what}: {error}; {hint}" if hint else f"{what}: {error}", _SQLITE_STATES.get(code)
    return DiskFailure(message, state) if state else StorageFailure(message)
