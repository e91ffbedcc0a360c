"""Puts files and folders under their names, whole or not at all: written under a hidden name beside it, flushed, renamed at the end.

What is written shares its blocks with the source where the file system can (reflink), never by a hard link: an edit outside must not
reach the store. What cannot be shared is copied, and hashed as it passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.oci.artifact import BlobContent, Opened, open_regular, verified
from snapproxy.oci.manifests import Descriptor

P = ParamSpec("P")
T = TypeVar("T")

_FICLONE = 0x40049409
"""ioctl_ficlone(2): make a file share all of another's blocks, copied when either is written to."""

_UNSHARED = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM, errno.ETXTBSY, errno.ENOSYS}
)
"""What a file system says that cannot share these blocks."""


_SHOWN = 40


async def put(content: BlobContent, path: Path) -> None:
    """Put a blob at a path, unless it is there. Raises StorageError; ArchiveDataError when its source gives other bytes than it should."""
    if await _is_there(content.descriptor, path):
        return
    async with hidden_file(path) as file:
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
    async with hidden_file(path) as file:
        await in_thread(file.write, data)


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


@asynccontextmanager
async def hidden_file(path: Path) -> AsyncIterator[IO[bytes]]:
    """Give a file beside `path` that takes its name when the block ends well, and is gone when it does not."""
    hidden = hidden_name(path)
    with explained(path):
        file = await in_thread(hidden.open, "xb")
        try:
            yield file
            await in_thread(_finish, file, hidden, path)
        except BaseException:
            file.close()
            with contextlib.suppress(FileNotFoundError):
                hidden.unlink()
            raise


def _finish(file: IO[bytes], hidden: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    hidden.rename(path)
    sync(path.parent)


@asynccontextmanager
async def hidden_folder(path: Path) -> AsyncIterator[Path]:
    """Give a folder beside `path` that takes its name when the block ends well, and is gone when it does not.

    Files in it must come by `put` and `put_bytes`. Raises OSError when something that is not empty has the name.
    """
    hidden = hidden_name(path)
    await in_thread(hidden.mkdir)
    try:
        yield hidden
        await in_thread(_finish_folder, hidden, path)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def _finish_folder(hidden: Path, path: Path) -> None:
    for folder, _, _ in os.walk(hidden, topdown=False):
        sync(Path(folder))
    hidden.rename(path)  # takes the place of an empty folder, of nothing else
    sync(path.parent)


def sync(path: Path) -> None:
    """Make what was done to a file or a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hidden_name(path: Path) -> Path:
    """Return a name beside another that nobody else uses, and that is not too long where the other is not (255 bytes mostly)."""
    return path.with_name(f".{path.name[:_SHOWN]}.{secrets.token_hex(8)}.part")


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


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Let a thread do it, and wait for it even when cancelled: what clears away must not meet it at work."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
