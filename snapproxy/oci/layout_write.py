"""Write image layouts to a folder or a tar, atomically.

In an existing layout the blobs are written first, each by a rename, and the index last. The bytes of a tar are a
function of the artifact, its tag and `mtime`.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from snapproxy.base.atomic_files import hidden_file, hidden_folder, in_thread, write_file
from snapproxy.core.progress import SILENT, Progress
from snapproxy.errors import ArchiveDataError, ClientError
from snapproxy.oci.artifact import Artifact, BlobContent, bytes_content, verified
from snapproxy.oci.files import explained, put, put_bytes
from snapproxy.oci.layout import BLOBS, INDEX_FILE, MARK, MARK_BYTES, FolderFiles, ImageLayout
from snapproxy.oci.manifests import INDEX, REFERENCE_NAME, Descriptor, ImageIndex, ManifestDocument
from snapproxy.oci.places import LayoutPlace, TarPlace
from snapproxy.oci.tarball import header, padding, trailer


async def write_tar(artifact: Artifact, place: TarPlace, *, mtime: int = 0, progress: Progress = SILENT) -> None:
    """Write the artifact as an image layout in a tar, which replaces an existing file.

    `mtime` is the time of every member.

    Raises StorageError (an existing file is unchanged then), and ArchiveDataError for a damaged blob.
    """
    path = Path(place.path)
    with explained(path):
        async with hidden_file(path) as file:
            length = 0
            async for piece in _tar_pieces(artifact, place.tag, mtime, progress):
                length += len(piece)
                await in_thread(file.write, piece)
            await in_thread(file.write, trailer(length))


async def write_layout(artifact: Artifact, place: LayoutPlace, *, progress: Progress = SILENT) -> None:
    """Write the artifact as an image layout into a new or empty folder, or add it to the layout in that folder.

    In an existing layout it replaces the manifest with the same tag, or without a tag the untagged manifest of the same
    type (`_with_entry`). Raises ClientError if the folder contains anything else, or an untagged manifest of another
    type; and the errors of `write_tar`.
    """
    path = Path(place.path)
    with explained(path):
        if await in_thread(_is_filled, path):
            await _add_to_layout(artifact, path, place.tag, progress)
            return
        try:
            async with hidden_folder(path) as folder:
                await in_thread((folder / BLOBS).mkdir, parents=True)
                await _fill(artifact, folder, progress)
                await put_bytes(MARK_BYTES, folder / MARK)
                await put_bytes(ImageIndex((_entry(artifact, place.tag),)).document().data, folder / INDEX_FILE)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            await _add_to_layout(artifact, path, place.tag, progress)  # another export was faster


def _is_filled(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


async def _add_to_layout(artifact: Artifact, path: Path, tag: str, progress: Progress) -> None:
    if not await in_thread((path / MARK).is_file):
        raise ClientError(
            "The folder is not an image layout",
            why=f"{path} is not empty and has no file {MARK}.",
            hint="Name a folder that does not exist yet.",
        )
    entry = _entry(artifact, tag)
    # Refuse an impossible entry before anything is written.
    _with_entry(await ImageLayout(FolderFiles(path), str(path)).index(), entry, path)
    await in_thread((path / BLOBS).mkdir, parents=True, exist_ok=True)
    await _fill(artifact, path, progress)
    await in_thread(_add_entry, path, entry)


def _add_entry(path: Path, entry: Descriptor) -> None:
    """Add an entry to the layout's index under a file lock against other exports.

    Runs in one thread, because it holds the lock.
    """
    with (path / MARK).open("rb") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        index = ManifestDocument(INDEX, (path / INDEX_FILE).read_bytes()).read()
        if not isinstance(index, ImageIndex):
            raise ArchiveDataError("The image layout has no index", why=f"{path / INDEX_FILE} is not an image index.")
        write_file(path / INDEX_FILE, _with_entry(index, entry, path).document().data)


def _with_entry(index: ImageIndex, entry: Descriptor, path: Path) -> ImageIndex:
    """Return the index with the entry added, without the entries that it replaces.

    Raises ClientError if it could not be addressed.

    An untagged manifest is read as the only untagged one of the layout, so there can be only one: an earlier one with
    the same artifactType is replaced, as an earlier one with the same tag is. One without an artifactType may be that
    of another program and is kept.
    """
    others = tuple(each for each in index.manifests if not _is_replaced(each, entry))
    if not entry.tag and any(not each.tag for each in others):
        raise ClientError(
            "The image layout has a manifest without a tag already",
            why=f"{path} contains one of another type, and two without a tag cannot be distinguished.",
            hint=f"Name a tag: oci:{path}:TAG.",
        )
    return replace(index, manifests=(*others, entry))


def _is_replaced(old: Descriptor, new: Descriptor) -> bool:
    """Return whether the new entry replaces the old one."""
    if old.tag or new.tag:
        return old.tag == new.tag
    return old.digest == new.digest or (bool(new.artifact_type) and old.artifact_type == new.artifact_type)


def _entry(artifact: Artifact, tag: str) -> Descriptor:
    root = artifact.root
    notes = {REFERENCE_NAME: tag} if tag else {}
    return replace(root.descriptor, artifact_type=root.read().artifact_type, annotations=notes)


async def _fill(artifact: Artifact, folder: Path, progress: Progress) -> None:
    for content in _in_order(artifact):
        await put(content, folder / BLOBS / content.descriptor.hex)
        progress.advance(content.descriptor.digest, content.descriptor.size, content.descriptor.size)
        progress.finish(content.descriptor.digest)


async def _tar_pieces(artifact: Artifact, tag: str, mtime: int, progress: Progress) -> AsyncIterator[bytes]:
    """Yield the tar: `oci-layout`, the index, the folders, then documents and blobs, each sorted by digest."""
    index = ImageIndex((_entry(artifact, tag),)).document().data
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


def _in_order(artifact: Artifact) -> Iterator[BlobContent]:
    """Yield every document and blob once, by digest.

    Documents precede blobs, because a reader of a stream needs them first.
    """
    documents = {each.digest: bytes_content(each.descriptor, each.data) for each in artifact.documents}
    for digest in sorted(documents):
        yield documents[digest]
    for digest in sorted(artifact.contents.keys() - documents.keys()):
        yield artifact.contents[digest]
