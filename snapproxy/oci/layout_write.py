"""Writes image layouts, in a folder or in a tar: whole or not at all.

Adding to a layout that exists puts blobs in first, each by a rename, and the index last. The bytes of a tar are a function of the
artifact, its tag and the given time.
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
    """Write the artifact as an image layout in a tar; replaces what has that name. `mtime` stands on every member.

    Raises StorageError (then nothing has that name that had not before), ArchiveDataError for a blob that is not what it should be.
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
    """Write the artifact as an image layout into a folder that does not exist or is empty, or add it to the layout that is there.

    There it takes the place of what has its tag; without one, of what has none and is of its type (`_with_entry`). Raises ClientError when
    the folder holds something else, or an untagged manifest of another kind; StorageError and ArchiveDataError as `write_tar`.
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
            "The folder holds something else than an image layout",
            why=f"{path} is not empty, and has no file {MARK}.",
            hint="Name a folder that does not exist yet.",
        )
    entry = _entry(artifact, tag)
    _with_entry(
        await ImageLayout(FolderFiles(path), str(path)).index(), entry, path
    )  # refused before anything is written
    await in_thread((path / BLOBS).mkdir, parents=True, exist_ok=True)
    await _fill(artifact, path, progress)
    await in_thread(_add_entry, path, entry)


def _add_entry(path: Path, entry: Descriptor) -> None:
    """Put an entry into the layout's index, while no other export does. All in one thread, since it holds a lock."""
    with (path / MARK).open("rb") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        index = ManifestDocument(INDEX, (path / INDEX_FILE).read_bytes()).read()
        if not isinstance(index, ImageIndex):
            raise ArchiveDataError("The image layout has no index", why=f"{path / INDEX_FILE} is none.")
        write_file(path / INDEX_FILE, _with_entry(index, entry, path).document().data)


def _with_entry(index: ImageIndex, entry: Descriptor, path: Path) -> ImageIndex:
    """Return the index with the entry in it, in the place of what it replaces. Raises ClientError when nobody could name it there.

    What has no tag is asked for as the layout's only such manifest, so there is one: an earlier one of the same artifactType goes, as
    what had the same tag does. One that says no type may be anybody's, and stays.
    """
    others = tuple(each for each in index.manifests if not _is_replaced(each, entry))
    if not entry.tag and any(not each.tag for each in others):
        raise ClientError(
            "The image layout has a manifest without a tag already",
            why=f"{path} holds one of another type; two of them could not be told apart.",
            hint=f"Name a tag: oci:{path}:TAG.",
        )
    return replace(index, manifests=(*others, entry))


def _is_replaced(old: Descriptor, new: Descriptor) -> bool:
    """Whether the new entry takes the old one's place."""
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
    """Yield the tar: the mark, the index, the folders, then documents and blobs, each by digest."""
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
    """Yield everything once: documents before blobs, so that a reader of a stream has them first, each by digest."""
    documents = {each.digest: bytes_content(each.descriptor, each.data) for each in artifact.documents}
    for digest in sorted(documents):
        yield documents[digest]
    for digest in sorted(artifact.contents.keys() - documents.keys()):
        yield artifact.contents[digest]
