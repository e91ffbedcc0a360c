"""Read image layouts (image-spec, "Image Layout") in a folder or in an uncompressed tar, without unpacking.

Bytes are verified by their digests. `layout_write` writes layouts. Extra files, blobs that no manifest
names and missing blobs are allowed by image-spec; a missing blob is an error when it is read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Protocol

from snapproxy.errors import ArchiveDataError, ClientError, StorageError
from snapproxy.formats.strict_json import read_object
from snapproxy.oci.artifact import OpenFile, missing_blob, open_regular, verified, wrong_blob
from snapproxy.oci.manifests import INDEX, LIMIT, Descriptor, ImageIndex, ManifestDocument
from snapproxy.oci.places import LayoutPlace, TarPlace
from snapproxy.oci.tarball import members

MARK = "oci-layout"
INDEX_FILE = "index.json"
BLOBS = "blobs/sha256"
VERSION = "1.0.0"
MARK_BYTES = b'{"imageLayoutVersion":"1.0.0"}'

_MARK_LIMIT = 4096
_SHOWN_TAGS = 10


class Files(Protocol):
    """The files of a layout, by their paths in the layout. Both methods block briefly."""

    def open(self, name: str) -> OpenFile:
        """Open a regular file. Raises FileNotFoundError if it does not exist."""

    def close(self) -> None:
        """Release the layout."""


class FolderFiles:
    """The files of a layout in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> OpenFile:
        return open_regular(self._path / name)

    def close(self) -> None:
        """Do nothing: the folder is not kept open."""


class TarFiles:
    """The files of a layout in a tar. Raises FileNotFoundError, StorageError, ArchiveDataError."""

    def __init__(self, path: Path) -> None:
        self._file = open_regular(path)
        try:
            self._members = members(self._file.descriptor)
        except BaseException:
            self.close()
            raise

    def open(self, name: str) -> OpenFile:
        member = self._members.get(name)
        if member is None:
            raise FileNotFoundError(name)
        return OpenFile(os.dup(self._file.descriptor), member.offset, member.size)

    def close(self) -> None:
        self._file.close()


class ImageLayout:
    """An image layout, read-only; implements `artifact.ArtifactSource`. `place` names it in messages."""

    def __init__(self, files: Files, place: str) -> None:
        self._files = files
        self._place = place

    async def index(self) -> ImageIndex:
        """Return the top-level index. Raises ArchiveDataError if this is not a layout of a supported version."""
        mark = read_object(await self._read(MARK, _MARK_LIMIT), f"The file {MARK}")
        if mark.get("imageLayoutVersion") != VERSION:
            raise ArchiveDataError(
                "The image layout has an unsupported version",
                why=f"{self._place} has version {str(mark.get('imageLayoutVersion'))[:40]!r}; supported is {VERSION}.",
            )
        index = ManifestDocument(INDEX, await self._read(INDEX_FILE, LIMIT)).read()
        if not isinstance(index, ImageIndex):
            raise ArchiveDataError(
                "The image layout has no index", why=f"{INDEX_FILE} of {self._place} is not an image index."
            )
        return index

    async def resolve(self, version: str) -> ManifestDocument:
        """Return the document with a tag or a digest. Raises ClientError if it does not exist.

        '' means the only manifest, or among several the only one without a tag: a manifest written without a tag can be
        read without a tag.
        """
        index = await self.index()
        found = [each for each in index.manifests if version in {"", each.tag, each.digest}]
        if not version and (untagged := [each for each in found if not each.tag]):
            found = untagged
        if len({each.digest for each in found}) == 1:
            return await self.document(found[0])
        tags = sorted(each.tag or each.digest for each in index.manifests)
        listed = ", ".join(tags[:_SHOWN_TAGS]) + (", ..." if len(tags) > _SHOWN_TAGS else "")
        raise ClientError(
            "The image layout has several manifests" if found else "The image layout has no such manifest",
            why=f"{self._place} contains: {listed or 'nothing'}.",
            hint="Name one of them: oci:DIR:TAG or oci-archive:FILE:TAG.",
        )

    async def document(self, descriptor: Descriptor) -> ManifestDocument:
        """Return a document by its descriptor. Raises ArchiveDataError if it is missing, too long or damaged."""
        if descriptor.size > LIMIT:
            raise wrong_blob(descriptor, f"a manifest of {descriptor.size} bytes exceeds the limit of {LIMIT}")
        return ManifestDocument(descriptor.media_type, b"".join([piece async for piece in self.blob(descriptor)]))

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """Yield a blob, verified; see `artifact.ArtifactSource`."""
        opened = await self.open(descriptor)
        try:
            async with aclosing(verified(opened.chunks(0, opened.size), descriptor)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            opened.close()

    async def open(self, descriptor: Descriptor) -> OpenFile:
        """Open a blob for random access. Only its size is checked. The caller closes it. Raises ArchiveDataError."""
        try:
            opened = await asyncio.to_thread(self._files.open, f"{BLOBS}/{descriptor.hex}")
        except FileNotFoundError:
            raise missing_blob(descriptor, self._place) from None
        if opened.size != descriptor.size:
            opened.close()
            raise wrong_blob(descriptor, f"its file has {opened.size} bytes instead of {descriptor.size}")
        return opened

    async def _read(self, name: str, limit: int) -> bytes:
        try:
            opened = await asyncio.to_thread(self._files.open, name)
        except FileNotFoundError:
            raise ArchiveDataError("This is not an image layout", why=f"{self._place} has no file {name}.") from None
        try:
            if opened.size > limit:
                raise ArchiveDataError(
                    "The image layout's index is too long",
                    why=f"{name} has {opened.size} bytes; the limit is {limit}.",
                )
            return b"".join([piece async for piece in opened.chunks(0, opened.size)])
        finally:
            opened.close()


@asynccontextmanager
async def open_layout(place: LayoutPlace | TarPlace) -> AsyncIterator[ImageLayout]:
    """Open a layout for reading. Raises StorageError if it cannot be read, ArchiveDataError for an unacceptable tar."""
    path = Path(place.path)
    try:
        files: Files = FolderFiles(path) if isinstance(place, LayoutPlace) else await asyncio.to_thread(TarFiles, path)
    except FileNotFoundError:
        raise StorageError("The tar file does not exist", why=f"{path} does not exist.") from None
    try:
        yield ImageLayout(files, str(path))
    finally:
        files.close()
