"""Write blobs to files, atomically (`base.atomic_files`) and with StorageError for every failure.

A file shares its blocks with the stored blob if the file system supports it (reflink), never by a hard link, because an
edit of the file must not change the store. Otherwise the bytes are copied, and verified while they are copied.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import IO

from snapproxy.base.atomic_files import hidden_file, in_thread, write_file
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.oci.artifact import BlobContent, Opened, open_regular, verified
from snapproxy.oci.manifests import Descriptor

_FICLONE = 0x40049409
"""ioctl_ficlone(2): share all blocks of another file, copied on write."""

_UNSHARED = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM, errno.ETXTBSY, errno.ENOSYS}
)
"""Errors of file systems that cannot share these blocks."""


async def put(content: BlobContent, path: Path) -> None:
    """Write a blob to a path, unless the file has its bytes already.

    Raises StorageError, and ArchiveDataError if the source is damaged.
    """
    if await _is_there(content.descriptor, path):
        return
    with explained(path):
        async with hidden_file(path) as file:
            await _copy(content, file)


async def _copy(content: BlobContent, file: IO[bytes]) -> None:
    opened = await content.open()
    try:
        if not await in_thread(_share, opened, content.descriptor, file):
            async with aclosing(verified(opened.chunks(0, content.descriptor.size), content.descriptor)) as pieces:
                async for piece in pieces:
                    await in_thread(file.write, piece)
    finally:
        opened.close()


async def put_bytes(data: bytes, path: Path) -> None:
    """Create or replace a small file. Raises StorageError."""
    with explained(path):
        await in_thread(write_file, path, data)


async def _is_there(descriptor: Descriptor, path: Path) -> bool:
    """Return whether an existing layout has these bytes already. A damaged file is written again."""
    try:
        opened = await in_thread(open_regular, path)
    except (FileNotFoundError, StorageError):
        return False
    try:
        async with aclosing(verified(opened.chunks(0, opened.size), descriptor)) as pieces:
            async for _ in pieces:
                pass
    except ArchiveDataError:
        return False
    finally:
        opened.close()
    return True


def _share(opened: Opened, descriptor: Descriptor, file: IO[bytes]) -> bool:
    """Share the blocks of the source; return False if that is impossible.

    Stored bytes were verified when they were stored.
    """
    source = opened.fileno()
    if source is None or os.fstat(source).st_size != descriptor.size or descriptor.size == 0:
        return False
    try:
        fcntl.ioctl(file.fileno(), _FICLONE, source)
    except OSError as error:
        if error.errno in _UNSHARED:
            return False
        raise
    return True


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError that names the path."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            "The artifact cannot be written",
            why=f"{path}: {error.strerror or error}. No incomplete file remains there.",
            hint="Free disk space or choose another destination, then export again.",
        ) from error
