"""Write files and folders atomically: under a hidden name beside the final one, flushed to disk, renamed at the end.

A reader finds the old content or the new one, never a part of it, even after a crash or a power cut. A process that is
killed may leave a hidden `.NAME.HEX.part` behind. `snapproxy_storage` has its own way of writing, because it imports no
module of snapproxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_SHOWN = 40
"""Characters of the final name that a hidden name repeats: few, so that it is not too long (the limit is usually 255
bytes).
"""

_NOT_FLUSHED = frozenset({errno.EACCES, errno.EINVAL})
"""Errors for a folder that cannot be flushed: it is write-only, or its file system has no fsync for folders."""


def write_file(path: Path, data: bytes) -> None:
    """Create or replace a file. Raises OSError; then the old file is unchanged."""
    hidden = _hidden_name(path)
    file = hidden.open("xb")
    try:
        file.write(data)
        _finish(file, hidden, path)
    except BaseException:
        _discard(file, hidden)
        raise


def copy_file(source: Path, path: Path) -> None:
    """Create or replace a file with the bytes of another. Raises OSError; then the old file is unchanged."""
    hidden = _hidden_name(path)
    file = hidden.open("xb")
    try:
        with source.open("rb") as opened:
            shutil.copyfileobj(opened, file)
        _finish(file, hidden, path)
    except BaseException:
        _discard(file, hidden)
        raise


@asynccontextmanager
async def hidden_file(path: Path) -> AsyncIterator[IO[bytes]]:
    """Open a hidden file beside `path`. It gets that name when the block succeeds and is removed when it raises."""
    hidden = _hidden_name(path)
    file = await in_thread(hidden.open, "xb")
    try:
        yield file
        await in_thread(_finish, file, hidden, path)
    except BaseException:
        _discard(file, hidden)
        raise


def _finish(file: IO[bytes], hidden: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    hidden.rename(path)
    _sync_folder(path.parent)


def _discard(file: IO[bytes], hidden: Path) -> None:
    file.close()
    with contextlib.suppress(FileNotFoundError):
        hidden.unlink()


@asynccontextmanager
async def hidden_folder(path: Path) -> AsyncIterator[Path]:
    """Create a hidden folder beside `path`. It gets that name when the block succeeds and is removed when it raises.

    The block must write files with `write_file` or `hidden_file`, which flush them. Raises OSError (ENOTEMPTY, EEXIST)
    if `path` exists by then and is not an empty folder.
    """
    hidden = _hidden_name(path)
    await in_thread(hidden.mkdir)
    try:
        yield hidden
        await in_thread(_finish_folder, hidden, path)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def _finish_folder(hidden: Path, path: Path) -> None:
    for folder, _, _ in os.walk(hidden, topdown=False):
        _sync_folder(Path(folder))
    hidden.rename(path)  # replaces only an empty folder
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Flush the names in a folder to disk, if the folder and its file system allow it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FLUSHED:
            raise


def _hidden_name(path: Path) -> Path:
    """Return an unused name in the same folder."""
    return path.with_name(f".{path.name[:_SHOWN]}.{secrets.token_hex(8)}.part")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work in a thread.

    Wait for its end even when cancelled, because clean-up must not run before the work has ended.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
