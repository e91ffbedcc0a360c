"""Brings blobs of an artifact into the store: verified before they have a name, resumed where an earlier attempt was cut off."""

from __future__ import annotations

from contextlib import aclosing, suppress

from snapproxy.core.progress import Progress
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.jobs.pack import is_stored
from snapproxy.oci.artifact import ArtifactSource, wrong_blob
from snapproxy.oci.manifests import Descriptor
from snapproxy_storage import Body, Draft, DraftFailed, DraftOrphaned, Meta, Store, Writing

_TAKES_OVER = 3
"""How often a draft is begun whose writer, another process, gave it up."""


async def store_blobs(store: Store, source: ArtifactSource, descriptor: Descriptor, progress: Progress) -> bool:
    """See to it that the store has a blob; False when it had it before.

    Raises ArchiveDataError when the source has other bytes or none, StorageError when the disk is full.
    """
    for _ in range(_TAKES_OVER):
        if is_stored(store.blobs, descriptor.hex, descriptor.size):
            progress.finish(descriptor.digest)
            return False
        begun = store.drafts.begin(descriptor.digest)  # the key that a download of promised bytes has
        if isinstance(begun, Writing):
            if await _write(begun.draft, source, descriptor, progress):
                return True
            continue  # what an earlier attempt had left was not this blob's: from the beginning
        try:
            with suppress(DraftFailed, DraftOrphaned):
                await _followed(begun.body)
        finally:
            begun.body.close()
    raise StorageError(
        "Another process keeps failing to store a file", why=f"{descriptor.digest} is being written there."
    )


async def _write(draft: Draft, source: ArtifactSource, descriptor: Descriptor, progress: Progress) -> bool:
    """Write a draft to its end. What there is of it is kept when the source or we break off.

    False when it went wrong, and an earlier attempt's bytes may be to blame.
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
        await draft.abandon("the import was broken off", keep=True)
        raise
    if (sealed.size, sealed.digest) != (descriptor.size, descriptor.hex):
        await draft.abandon("the artifact has other bytes than its digest says")
        if start:
            return False
        raise wrong_blob(descriptor, f"{sealed.size} bytes came, of sha256:{sealed.digest}")
    blob = await draft.commit()
    blob.close()
    if draft.full:
        raise _full(descriptor)
    progress.finish(descriptor.digest)
    return True


async def _begin(draft: Draft, descriptor: Descriptor) -> int:
    """Take over what an earlier attempt left, if it can be of use; return how much that is."""
    if draft.size >= descriptor.size or draft.meta.length not in {None, descriptor.size}:
        await draft.restart()
    await draft.rehash()
    await draft.describe(Meta(length=descriptor.size))
    return draft.size


async def _followed(body: Body) -> None:
    """Wait until another writer has ended: it shows its last byte before the file has its name."""
    offset = 0
    while (shown := await body.wait(offset)) > offset:
        offset = shown


def _full(descriptor: Descriptor) -> StorageError:
    return StorageError(
        "The disk is full",
        why=f"{descriptor.digest} ({descriptor.size} bytes) does not fit; nothing of the capture was named.",
        hint="Make room, then import again: what has arrived is not read again.",
    )
