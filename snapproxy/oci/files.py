"""Puts files and folders under their names, whole or not at all: written under a hidden name beside it, flushed, renamed at the end.

What is written shares its blocks with the source where the file system can (reflink), never by a hard link: an edit outside must not
reach the store. What cannot be shared is copied, and hashed as it passes.
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
"""ioctl_ficlone(2): make a file share all of another's blocks, copied when either is written to."""

_UNSHARED = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM, errno.ETXTBSY, errno.ENOSYS}
)
"""What a file system says that cannot share these blocks."""


async def put(content: BlobContent, path: Path) -> None:
    """Put a blob at a path, unless it is there. Raises StorageError; ArchiveDataError when its source gives other bytes than it should."""
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
    """Put a small file at a path. Raises StorageError."""
    with explained(path):
        await in_thread(write_file, path, data)


async def _is_there(descriptor: Descriptor, path: Path) -> bool:
    """Whether a layout that exists holds these very bytes already; what is damaged there is written anew."""
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
    """Share the source's blocks; False when the two cannot. The store's bytes were verified when they were stored."""
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
    """Turn the system's refusal into one that says what was being written."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            "The artifact cannot be written",
            why=f"{path}: {error.strerror or error}. Nothing was left under that name.",
            hint="Make room, or name another place; then export again.",
        ) from error
