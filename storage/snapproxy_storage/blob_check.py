"""Check the file of a blob: hash it, and remove it if its bytes are wrong. All functions block and raise OSError."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager

from snapproxy_storage.open_folder import NOT_A_FILE, OpenFolder

Identity = tuple[int, int, int, int]
"""The inode number, the size, and the times of the last modification and of the last change, in nanoseconds."""

_PIECE = 1 << 20
_TRIES = 3
"""Number of times that a file which changes while it is hashed is hashed."""


def identity_of(status: os.stat_result) -> Identity:
    """Return the identity of a file."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def check_file(
    folder: OpenFolder, digest: str, changing: Callable[[str], AbstractContextManager[None]]
) -> Identity | None:
    """Return the identity of the file `digest` if it has the bytes of that SHA-256.

    Otherwise return None; the file, or any other entry of that name, is removed inside `changing`.
    """
    tries = 0
    while tries < _TRIES:
        try:
            fd = folder.open(digest, os.O_RDONLY)
        except OSError as error:
            if error.errno not in NOT_A_FILE:
                raise
            with changing(digest):
                folder.set_aside(digest)
            return None
        try:
            before = os.fstat(fd)
            is_right = stat.S_ISREG(before.st_mode) and _sha256(fd) == digest
            identity = identity_of(os.fstat(fd))
            if not folder.is_still(digest, fd):
                continue  # a writer has stored the blob again
            if identity == identity_of(before):
                if is_right:
                    return identity
                break
            tries += 1
        finally:
            os.close(fd)
    with changing(digest):
        folder.set_aside(digest)
    return None


def _sha256(fd: int) -> str:
    running = hashlib.sha256()
    while piece := os.read(fd, _PIECE):
        running.update(piece)
    return running.hexdigest()
