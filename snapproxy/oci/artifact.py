"""What every place takes and gives: documents, and blobs by descriptor that are read as often as needed. Verifying is done here.

    root -> documents (children first) -> blobs

A blob's bytes come from an `Opener`, so that nothing is held in memory and a broken upload can begin again. `storage`'s blobs fit.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.oci.manifests import EMPTY_BYTES, EMPTY_CONFIG, Descriptor, ImageIndex, Manifest, ManifestDocument

PIECE = 1 << 20
"""Bytes in a piece at most: what a thread reads or hashes at a time."""


_SHORT = 128 << 10
"""Bytes of a file that is read when it is opened."""


class Opened(Protocol):
    """Bytes that can be read from any position, any number of times, until closed. `snapproxy_storage.Blob` is one."""

    def fileno(self) -> int | None:
        """Return a descriptor of a regular file that holds exactly these bytes, None where there is none."""

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`."""

    def close(self) -> None:
        """Give up what is held."""


Opener = Callable[[], Awaitable[Opened]]
"""Opens a blob; called anew for each attempt to send it. Raises SnapproxyError when it cannot."""


@dataclass(frozen=True, slots=True)
class BlobContent:
    """A blob and where its bytes come from."""

    descriptor: Descriptor
    open: Opener


@dataclass(frozen=True, slots=True)
class Artifact:
    """Everything under one root. `documents` have children before those that name them, the root last."""

    documents: tuple[ManifestDocument, ...]
    contents: Mapping[str, BlobContent] = field(default_factory=dict)
    """By digest; what several manifests share stands once."""

    @classmethod
    def of(cls, manifest: Manifest, contents: Iterator[BlobContent] | tuple[BlobContent, ...]) -> Artifact:
        """Return the artifact of one manifest. The empty configuration needs no content given."""
        found = {each.descriptor.digest: each for each in contents}
        if manifest.config.digest == EMPTY_CONFIG.digest:
            found.setdefault(EMPTY_CONFIG.digest, bytes_content(EMPTY_CONFIG, EMPTY_BYTES))
        return cls((manifest.document(),), found)

    @classmethod
    def under(cls, index: ImageIndex, parts: tuple[Artifact, ...]) -> Artifact:
        """Return several artifacts under one index, which must name their roots."""
        contents = {digest: each for part in parts for digest, each in part.contents.items()}
        return cls((*(each for part in parts for each in part.documents), index.document()), contents)

    @property
    def root(self) -> ManifestDocument:
        """What the artifact is known by."""
        return self.documents[-1]

    @property
    def size(self) -> int:
        """Bytes of all blobs and documents."""
        return sum(each.descriptor.size for each in self.contents.values()) + sum(len(d.data) for d in self.documents)


class ArtifactSource(Protocol):
    """A place to read artifacts from: a layout, a repository. But for `open`, every byte it gives was verified."""

    async def resolve(self, version: str) -> ManifestDocument:
        """Return the document under a tag or a digest ('': the only one). Raises SnapproxyError when there is none."""

    async def document(self, descriptor: Descriptor) -> ManifestDocument:
        """Return a document by its descriptor. Raises ArchiveDataError when its bytes are others."""

    async def open(self, descriptor: Descriptor) -> Opened:
        """Open a blob to read parts of it, not verified. Raises ArchiveDataError when it is missing."""

    def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """Yield a blob; its last piece is not given before size and digest were found right (ArchiveDataError)."""


class OpenFile:
    """A part of a file, whose `descriptor` is its own until it is closed.

    It is read by a thread; a short one at once, since handing over to a thread takes longer than reading it.
    """

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self.descriptor = descriptor
        self._start = start
        self.size = size
        try:
            self._whole = os.pread(descriptor, size, start) if 0 < size <= _SHORT else b""
        except OSError:
            self.close()
            raise

    def fileno(self) -> int | None:
        return self.descriptor if self._start == 0 and os.fstat(self.descriptor).st_size == self.size else None

    def state(self) -> tuple[int, ...]:
        """Return what would differ if this were another file, or had been written to: its inode, size, and times of change."""
        found = os.fstat(self.descriptor)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        if self._whole and start < stop:
            yield self._whole[start:stop]
            return
        while start < stop:
            count = min(PIECE, stop - start)
            piece = await asyncio.to_thread(os.pread, self.descriptor, count, self._start + start)
            if not piece:
                return
            start += len(piece)
            yield piece

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class _MemoryBytes:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def fileno(self) -> int | None:
        return None

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        if start < stop:
            yield self._data[start:stop]

    def close(self) -> None:
        """Nothing is held open."""


def bytes_content(descriptor: Descriptor, data: bytes) -> BlobContent:
    """Return a small blob whose bytes are at hand."""

    async def open_bytes() -> Opened:
        return _MemoryBytes(data)

    return BlobContent(descriptor, open_bytes)


def file_content(descriptor: Descriptor, path: Path) -> BlobContent:
    """Return a blob whose bytes are a file's."""

    async def open_path() -> Opened:
        return await asyncio.to_thread(open_regular, path)

    return BlobContent(descriptor, open_path)


def open_regular(path: Path) -> OpenFile:
    """Open a regular file, no link and no device. Blocks briefly. Raises StorageError; FileNotFoundError when there is nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError("A file cannot be read", why=f"{path}: {error.strerror}.") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise StorageError("A file cannot be read", why=f"{path} is no regular file.")
    return OpenFile(descriptor, 0, found.st_size)


async def verified(pieces: AsyncIterator[bytes], descriptor: Descriptor) -> AsyncGenerator[bytes, None]:
    """Pass on what is exactly the blob; hold the last piece back until that is sure. Raises ArchiveDataError."""
    running, count, held = hashlib.sha256(), 0, b""
    async for piece in pieces:
        count += len(piece)
        if count > descriptor.size:
            raise wrong_blob(descriptor, f"more than {descriptor.size} bytes came")
        await hash_piece(running.update, piece)
        if held:
            yield held
        held = piece
    if count < descriptor.size:
        raise wrong_blob(descriptor, f"{count} bytes came instead of {descriptor.size}")
    if running.hexdigest() != descriptor.hex:
        raise wrong_blob(descriptor, f"what came is sha256:{running.hexdigest()}")
    if held:
        yield held


async def hash_piece(update: Callable[[bytes], object], piece: bytes) -> None:
    """Hash, by a thread where it takes longer than handing over does."""
    if len(piece) < 1 << 16:
        update(piece)
    else:
        await asyncio.to_thread(update, piece)


def wrong_blob(descriptor: Descriptor, why: str) -> ArchiveDataError:
    """Return the error for bytes that are not what their digest says."""
    return ArchiveDataError(
        "A blob of the artifact is damaged",
        why=f"Of {descriptor.digest}, {why}.",
        hint="Copy the artifact again from where it came from; nothing of this blob was kept.",
    )


def missing_blob(descriptor: Descriptor, place: str) -> ArchiveDataError:
    """Return the error for what a manifest names and the place does not have."""
    return ArchiveDataError(
        "A blob of the artifact is missing",
        why=f"{descriptor.digest} ({descriptor.size} bytes) is not in {place}.",
        hint="Copy the artifact again with everything it names.",
    )
