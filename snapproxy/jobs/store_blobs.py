"""Store blobs of an artifact.

They are verified before their names are recorded, and resumed after an interrupted attempt.
"""

from __future__ import annotations

from contextlib import aclosing, suppress

from snapproxy.base.names import size_of
from snapproxy.core.progress import Progress
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.oci.artifact import ArtifactSource, wrong_blob
from snapproxy.oci.manifests import Descriptor
from snapproxy_storage import Body, Draft, DraftFailed, DraftOrphaned, Meta, Store, Writing

_TAKEOVERS = 3
"""Maximum number of attempts for a draft that other processes abandon."""


async def store_blobs(store: Store, source: ArtifactSource, descriptor: Descriptor, progress: Progress) -> bool:
    """Store a blob; return False if it is stored already.

    Raises ArchiveDataError if the source has other bytes or none, StorageError if the disk is full.
    """
    for _ in range(_TAKEOVERS):
        if await size_of(store.blobs, descriptor.hex) == descriptor.size:
            progress.finish(descriptor.digest)
            return False
        begun = store.drafts.begin(descriptor.digest)  # the same key as for a download with an expected sha256
        if isinstance(begun, Writing):
            if await _write(begun.draft, source, descriptor, progress):
                return True
            continue  # the remains of an earlier attempt were not of this blob: start again
        try:
            with suppress(DraftFailed, DraftOrphaned):
                await _wait_for_writer(begun.body)
        finally:
            begun.body.close()
    raise StorageError(
        "Another process repeatedly failed to store a file", why=f"That process was writing {descriptor.digest}."
    )


async def _write(draft: Draft, source: ArtifactSource, descriptor: Descriptor, progress: Progress) -> bool:
    """Write a draft to its end. An interrupted draft is kept, to be resumed.

    Return False if the digest is wrong, and bytes of an earlier attempt may be the cause.
    """
    try:
        done = start = await _begin(draft, descriptor)
        opened = await source.open(descriptor)
        try:
            async with aclosing(opened.chunks(done, descriptor.size)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    await draft.write(piece)
                    if draft.full:
                        raise _full(descriptor)
                    done += len(piece)
                    progress.advance(descriptor.digest, done, descriptor.size)
        finally:
            opened.close()
        sealed = await draft.seal()
    except ArchiveDataError as error:
        await draft.abandon(error.reason)
        raise
    except BaseException:
        await draft.abandon("the import was interrupted", keep=True)
        raise
    if (sealed.size, sealed.digest) != (descriptor.size, descriptor.hex):
        await draft.abandon("the bytes in the artifact differ from their digest")
        if start:
            return False
        raise wrong_blob(descriptor, f"{sealed.size} bytes with sha256:{sealed.digest} were read")
    blob = await draft.commit()
    blob.close()
    if draft.full:
        raise _full(descriptor)
    progress.finish(descriptor.digest)
    return True


async def _begin(draft: Draft, descriptor: Descriptor) -> int:
    """Prepare a draft for writing; return the number of usable bytes from an earlier attempt."""
    if draft.size >= descriptor.size or draft.meta.length not in {None, descriptor.size}:
        await draft.restart()
    await draft.rehash()
    await draft.describe(Meta(length=descriptor.size))
    return draft.size


async def _wait_for_writer(body: Body) -> None:
    """Wait until another writer has finished.

    Its last byte is readable shortly before the name of the file is recorded.
    """
    offset = 0
    while (shown := await body.wait(offset)) > offset:
        offset = shown


def _full(descriptor: Descriptor) -> StorageError:
    return StorageError(
        "The disk is full",
        why=f"{descriptor.digest} ({descriptor.size} bytes) does not fit; the capture was not imported.",
        hint="Free some space, then import again: stored files are not read again.",
    )
