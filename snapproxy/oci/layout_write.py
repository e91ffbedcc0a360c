"""Writes image layouts, in a folder or in a tar: whole or not at all.

Everything is written under a hidden name beside the final one, flushed, and renamed at the end. Adding to a layout that exists
puts blobs in first, each by a rename, and the index last. Blobs are shared with their source where the file system can (reflink),
never by a hard link: an edit outside must not reach the store. The bytes of a tar are a function of the artifact, its tag and the
given time.
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
from dataclasses import replace
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from snapproxy.errors import ArchiveDataError, ClientError, StorageError
from snapproxy.oci.artifact import Artifact, Content, Opened, bytes_content, open_regular, verified
from snapproxy.oci.layout import BLOBS, INDEX_FILE, MARK, MARK_BYTES, Folder, Layout
from snapproxy.oci.model import INDEX, REFERENCE_NAME, Descriptor, Document, Index
from snapproxy.oci.names import LayoutPlace, TarPlace
from snapproxy.oci.progress import SILENT, Progress
from snapproxy.oci.tarball import header, padding, trailer

P = ParamSpec("P")
T = TypeVar("T")

_FICLONE = 0x40049409
"""ioctl_ficlone(2): make a file share all of another's blocks, copied when either is written to."""

_UNSHARED = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM, errno.ETXTBSY, errno.ENOSYS}
)
"""What a file system says that cannot share these blocks."""


async def write_tar(artifact: Artifact, place: TarPlace, *, mtime: int = 0, progress: Progress = SILENT) -> None:
    """Write the artifact as an image layout in a tar; replaces what has that name. `mtime` stands on every member.

    Raises StorageError (then nothing has that name that had not before), ArchiveDataError for a blob that is not what it should be.
    """
    async with _hidden_file(Path(place.path)) as file:
        length = 0
        async for piece in _tar_pieces(artifact, place.tag, mtime, progress):
            length += len(piece)
            await _in_thread(file.write, piece)
        await _in_thread(file.write, trailer(length))


async def write_layout(artifact: Artifact, place: LayoutPlace, *, progress: Progress = SILENT) -> None:
    """Write the artifact as an image layout into a folder that does not exist or is empty, or add it to the layout that is there.

    Raises ClientError when the folder holds something else, StorageError and ArchiveDataError as `write_tar`.
    """
    path = Path(place.path)
    with _explained(path):
        exists = await _in_thread(lambda: path.is_dir() and any(path.iterdir()))
        if exists:
            await _add(artifact, path, place.tag, progress)
            return
        async with _hidden_folder(path) as folder:
            await _in_thread((folder / BLOBS).mkdir, parents=True)
            await _fill(artifact, folder, progress)
            await _in_thread((folder / MARK).write_bytes, MARK_BYTES)
            index = Index((_entry(artifact, place.tag),))
            await _in_thread((folder / INDEX_FILE).write_bytes, index.document().data)


async def _add(artifact: Artifact, path: Path, tag: str, progress: Progress) -> None:
    if not await _in_thread((path / MARK).is_file):
        raise ClientError(
            "The folder holds something else than an image layout",
            why=f"{path} is not empty, and has no file {MARK}.",
            hint="Name a folder that does not exist yet.",
        )
    await Layout(Folder(path), str(path)).index()  # refused before anything is written
    await _in_thread((path / BLOBS).mkdir, parents=True, exist_ok=True)
    await _fill(artifact, path, progress)
    await _in_thread(_enter, path, _entry(artifact, tag))


def _enter(path: Path, entry: Descriptor) -> None:
    """Put an entry into the layout's index, while no other export does. All in one thread, since it holds a lock."""
    with (path / MARK).open("rb") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        index = Document(INDEX, (path / INDEX_FILE).read_bytes()).read()
        if not isinstance(index, Index):
            raise ArchiveDataError("The image layout has no index", why=f"{path / INDEX_FILE} is none.")
        others = [each for each in index.manifests if not _is_replaced(each, entry)]
        hidden = _hidden(path / INDEX_FILE)
        try:
            hidden.write_bytes(replace(index, manifests=(*others, entry)).document().data)
            _sync(hidden)
            hidden.rename(path / INDEX_FILE)
        finally:
            hidden.unlink(missing_ok=True)


def _is_replaced(old: Descriptor, new: Descriptor) -> bool:
    """Whether the new entry takes the old one's place: it has its tag, or is the same without one."""
    return old.tag == new.tag and (bool(new.tag) or old.digest == new.digest)


def _entry(artifact: Artifact, tag: str) -> Descriptor:
    root = artifact.root
    notes = {REFERENCE_NAME: tag} if tag else {}
    return replace(root.descriptor, artifact_type=root.read().artifact_type, annotations=notes)


async def _fill(artifact: Artifact, folder: Path, progress: Progress) -> None:
    for content in _in_order(artifact):
        await _put(content, folder / BLOBS / content.descriptor.hex)
        progress.advance(content.descriptor.digest, content.descriptor.size, content.descriptor.size)
        progress.finish(content.descriptor.digest)


async def _put(content: Content, path: Path) -> None:
    if await _is_there(content.descriptor, path):
        return
    async with _hidden_file(path) as file:
        opened = await content.open()
        try:
            if not await _in_thread(_share, opened, content.descriptor, file):
                async with aclosing(verified(opened.chunks(0, content.descriptor.size), content.descriptor)) as pieces:
                    async for piece in pieces:
                        await _in_thread(file.write, piece)
        finally:
            opened.close()


async def _is_there(descriptor: Descriptor, path: Path) -> bool:
    """Whether a layout that exists holds these very bytes already; what is damaged there is written anew."""
    try:
        opened = await _in_thread(open_regular, path)
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


async def _tar_pieces(artifact: Artifact, tag: str, mtime: int, progress: Progress) -> AsyncIterator[bytes]:
    """Yield the tar: the mark, the index, the folders, then documents and blobs, each by digest."""
    index = Index((_entry(artifact, tag),)).document().data
    for name, data in ((MARK, MARK_BYTES), (INDEX_FILE, index)):
        yield header(name, len(data), mtime) + data + padding(len(data))
    for name in ("blobs/", f"{BLOBS}/"):
        yield header(name, 0, mtime, is_folder=True)
    for content in _in_order(artifact):
        descriptor = content.descriptor
        yield header(f"{BLOBS}/{descriptor.hex}", descriptor.size, mtime)
        done = 0
        opened = await content.open()
        try:
            async with aclosing(verified(opened.chunks(0, descriptor.size), descriptor)) as pieces:
                async for piece in pieces:
                    yield piece
                    done += len(piece)
                    progress.advance(descriptor.digest, done, descriptor.size)
        finally:
            opened.close()
        progress.finish(descriptor.digest)
        yield padding(descriptor.size)


def _in_order(artifact: Artifact) -> Iterator[Content]:
    """Yield everything once: documents before blobs, so that a reader of a stream has them first, each by digest."""
    documents = {each.digest: bytes_content(each.descriptor, each.data) for each in artifact.documents}
    for digest in sorted(documents):
        yield documents[digest]
    for digest in sorted(artifact.contents.keys() - documents.keys()):
        yield artifact.contents[digest]


@asynccontextmanager
async def _hidden_file(path: Path) -> AsyncIterator[IO[bytes]]:
    """Give a file beside `path` that takes its name when the block ends well, and is gone when it does not."""
    hidden = _hidden(path)
    with _explained(path):
        file = await _in_thread(hidden.open, "xb")
        try:
            yield file
            await _in_thread(_finish, file, hidden, path)
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
    _sync(path.parent)


@asynccontextmanager
async def _hidden_folder(path: Path) -> AsyncIterator[Path]:
    """Give a folder beside `path` that takes its name when the block ends well, and is gone when it does not."""
    hidden = _hidden(path)
    await _in_thread(hidden.mkdir)
    try:
        yield hidden
        await _in_thread(_finish_folder, hidden, path)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def _finish_folder(hidden: Path, path: Path) -> None:
    for folder in (hidden / BLOBS, hidden / "blobs", hidden):
        for file in (hidden / MARK, hidden / INDEX_FILE) if folder == hidden else ():
            _sync(file)
        _sync(folder)
    hidden.rename(path)  # takes the place of an empty folder, of nothing else
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the system's refusal into one that says what was being written."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            "The artifact cannot be written",
            why=f"{path}: {error.strerror or error}. Nothing was left under that name.",
            hint="Make room, or name another place; then export again.",
        ) from error


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Let a thread do it, and wait for it even when cancelled: what clears away must not meet it at work."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
