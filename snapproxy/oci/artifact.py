"""Artifacts in the form that every place reads and writes: manifests and blobs, and the verification of blobs.

    root -> documents (children first) -> blobs

The bytes of a blob come from an `Opener`, so that no blob is kept in memory and a failed upload can be repeated. The
blobs of `snapproxy_storage` can be opened this way.
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
"""Maximum number of bytes that a thread reads or hashes in one call."""


_SHORT = 128 << 10
"""Files up to this size, in bytes, are read when they are opened."""


class Opened(Protocol):
    """An open blob, readable from any position, any number of times, until it is closed.

    `snapproxy_storage.Blob` is one.
    """

    def fileno(self) -> int | None:
        """Return the descriptor of a regular file whose content is exactly the blob, None if there is no such file."""

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`."""

    def close(self) -> None:
        """Release the file."""


Opener = Callable[[], Awaitable[Opened]]
"""Opens a blob; called again for each attempt to send it. Raises SnapproxyError if the blob cannot be opened."""


@dataclass(frozen=True, slots=True)
class BlobContent:
    """A blob and the opener of its bytes."""

    descriptor: Descriptor
    open: Opener


@dataclass(frozen=True, slots=True)
class Artifact:
    """A root document with all documents and blobs that it names.

    In `documents`, children precede the documents that name them; the root is last.
    """

    documents: tuple[ManifestDocument, ...]
    contents: Mapping[str, BlobContent] = field(default_factory=dict)
    """The blobs by digest. A blob that several manifests share is listed once."""

    @classmethod
    def of(cls, manifest: Manifest, contents: Iterator[BlobContent] | tuple[BlobContent, ...]) -> Artifact:
        """Return the artifact of one manifest. The content of the empty configuration is added if missing."""
        found = {each.descriptor.digest: each for each in contents}
        if manifest.config.digest == EMPTY_CONFIG.digest:
            found.setdefault(EMPTY_CONFIG.digest, bytes_content(EMPTY_CONFIG, EMPTY_BYTES))
        return cls((manifest.document(),), found)

    @classmethod
    def under(cls, index: ImageIndex, parts: tuple[Artifact, ...]) -> Artifact:
        """Return several artifacts under one index. The index must name their roots."""
        contents = {digest: each for part in parts for digest, each in part.contents.items()}
        return cls((*(each for part in parts for each in part.documents), index.document()), contents)

    @property
    def root(self) -> ManifestDocument:
        """The document whose digest identifies the artifact."""
        return self.documents[-1]

    @property
    def size(self) -> int:
        """Bytes of all blobs and documents."""
        return sum(each.descriptor.size for each in self.contents.values()) + sum(len(d.data) for d in self.documents)


class ArtifactSource(Protocol):
    """A place to read artifacts from: an image layout or a repository.

    All returned bytes were verified, except those of `open`.
    """

    async def resolve(self, version: str) -> ManifestDocument:
        """Return the document with a tag or a digest ('': the only one). Raises SnapproxyError if it does not exist."""

    async def document(self, descriptor: Descriptor) -> ManifestDocument:
        """Return a document by its descriptor. Raises ArchiveDataError if its size or digest differs."""

    async def open(self, descriptor: Descriptor) -> Opened:
        """Open a blob to read parts of it, unverified. Raises ArchiveDataError if it is missing."""

    def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """Yield a blob; its last piece is held back until size and digest are verified. Raises ArchiveDataError."""


class OpenFile:
    """A part of an open file. It owns `descriptor` until it is closed.

    A thread reads it. A short part is read immediately on opening, because a switch to a thread takes longer than the
    read.
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
        """Return values that change when the file is replaced or written: device, inode, size and times of change."""
        found = os.fstat(self.descriptor)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def read_at(self, start: int, count: int) -> bytes:
        """Return at most `count` bytes from `start` on. Blocks briefly."""
        return os.pread(self.descriptor, min(count, max(0, self.size - start)), self._start + start)

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        if self._whole and start < stop:
            yield self._whole[start:stop]
            return
        while start < stop:
            piece = await asyncio.to_thread(self.read_at, start, min(PIECE, stop - start))
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
        """Do nothing: no file is open."""


def bytes_content(descriptor: Descriptor, data: bytes) -> BlobContent:
    """Return a small blob whose bytes are in memory."""

    async def open_bytes() -> Opened:
        return _MemoryBytes(data)

    return BlobContent(descriptor, open_bytes)


def file_content(descriptor: Descriptor, path: Path) -> BlobContent:
    """Return a blob whose bytes are the content of a file."""

    async def open_path() -> Opened:
        return await asyncio.to_thread(open_regular, path)

    return BlobContent(descriptor, open_path)


def open_regular(path: Path) -> OpenFile:
    """Open a regular file; links and devices are refused. Blocks briefly.

    Raises StorageError, and FileNotFoundError if it does not exist.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError("A file cannot be read", why=f"{path}: {error.strerror}.") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise StorageError("A file cannot be read", why=f"{path} is not a regular file.")
    return OpenFile(descriptor, 0, found.st_size)


async def verified(pieces: AsyncIterator[bytes], descriptor: Descriptor) -> AsyncGenerator[bytes, None]:
    """Yield `pieces`, with the last one held back until size and digest are verified. Raises ArchiveDataError."""
    running, count, last = hashlib.sha256(), 0, b""
    async for piece in pieces:
        count += len(piece)
        if count > descriptor.size:
            raise wrong_blob(descriptor, f"more than {descriptor.size} bytes were received")
        await hash_piece(running.update, piece)
        if last:
            yield last
        last = piece
    if count < descriptor.size:
        raise wrong_blob(descriptor, f"{count} bytes were received instead of {descriptor.size}")
    if running.hexdigest() != descriptor.hex:
        raise wrong_blob(descriptor, f"the received bytes have sha256:{running.hexdigest()}")
    if last:
        yield last


async def hash_piece(update: Callable[[bytes], object], piece: bytes) -> None:
    """Hash a piece; a long one in a thread, where hashing takes longer than the switch to the thread."""
    if len(piece) < 1 << 16:
        update(piece)
    else:
        await asyncio.to_thread(update, piece)


def wrong_blob(descriptor: Descriptor, why: str) -> ArchiveDataError:
    """Return the error for a blob whose bytes do not match its descriptor. `why` is a clause without a full stop."""
    return ArchiveDataError(
        "A blob of the artifact is damaged",
        why=f"{descriptor.digest}: {why}.",
        hint="Copy the artifact again from its source. Nothing of this blob was kept.",
    )


def missing_blob(descriptor: Descriptor, place: str) -> ArchiveDataError:
    """Return the error for a blob that a manifest names and the place does not have."""
    return ArchiveDataError(
        "A blob of the artifact is missing",
        why=f"{descriptor.digest} ({descriptor.size} bytes) is not in {place}.",
        hint="Copy the artifact again with all blobs that its manifests name.",
    )
