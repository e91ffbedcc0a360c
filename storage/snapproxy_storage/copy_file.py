"""Copy files between folders: shared blocks where the file system allows it, hashed bytes elsewhere."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets

from snapproxy_storage.open_folder import OpenFolder

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_UNSHARED = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EPERM})
_PIECE = 1 << 20


def sha256_of(fd: int, *, limit: int | None = None) -> str:
    """Return the SHA-256 of an open file, or of its first `limit` bytes."""
    running, offset = hashlib.sha256(), 0
    while piece := os.pread(fd, _PIECE if limit is None else min(_PIECE, limit - offset), offset):
        running.update(piece)
        offset += len(piece)
    return running.hexdigest()


def copy_file(source: int, to: OpenFolder, name: str, *, mode: int, limit: int | None = None, digest: str = "") -> str:
    """Copy an open file, or its first `limit` bytes, to a new file that gets its name when it is whole and flushed.

    Return the SHA-256 of the copy. With another `digest` than that nothing is published. The file belongs to the owner
    of the folder. Raises OSError; no part of a file remains then.
    """
    hidden = f".{name[:100]}.{secrets.token_hex(4)}.part"
    fd = to.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        if limit is not None or not _share(source, fd):
            _copy_bytes(source, fd, limit)
        found = sha256_of(fd)
        if digest in ("", found):
            own(fd, to)
            os.fchmod(fd, mode)
            os.fsync(fd)
            to.rename(hidden, to, name)
        return found
    finally:
        os.close(fd)
        to.remove(hidden)


def own(fd: int, folder: OpenFolder) -> None:
    """Give a file that root created to the owner of its folder."""
    if os.geteuid() == 0:
        status = os.fstat(folder.fd)
        os.fchown(fd, status.st_uid, status.st_gid)


def _share(source: int, to: int) -> bool:
    try:
        fcntl.ioctl(to, _FICLONE, source)
    except OSError as error:
        if error.errno in _UNSHARED:
            return False
        raise
    return True


def _copy_bytes(source: int, to: int, limit: int | None) -> None:
    offset = 0
    while piece := os.pread(source, _PIECE if limit is None else min(_PIECE, limit - offset), offset):
        view = memoryview(piece)
        while view:
            view = view[os.write(to, view) :]
        offset += len(piece)
