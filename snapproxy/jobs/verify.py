"""Verify the stored files of a record by their digests.

Damaged files are removed from the store, so that they are never served again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from dataclasses import dataclass

from snapproxy.core.progress import Progress
from snapproxy.core.record import Record, RecordEntry
from snapproxy_storage import Blob, Blobs


@dataclass(frozen=True, slots=True)
class StoredFault:
    """A file that is not stored as recorded. `entries` are all its names.

    `what` is `missing`; or `damaged`: its bytes differed from its digest, and it was removed; or `wrong`: its size
    differs from the recorded one.
    """

    what: str
    sha256: str
    entries: tuple[RecordEntry, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """The result: number of files and bytes, each content counted once, and the faults in order of first names."""

    files: int
    size: int
    faults: tuple[StoredFault, ...]


async def verify(record: Record, blobs: Blobs, progress: Progress) -> Verified:
    """Read all stored files of a record. Raises StorageFailure if the disk fails."""
    named: defaultdict[tuple[str, int], list[RecordEntry]] = defaultdict(list)
    for entry in record.entries:
        if not entry.is_absence:
            named[entry.sha256, entry.size].append(entry)
    faults = []
    for (sha256, _), entries in named.items():
        what = await _fault(blobs, entries[0], progress)
        if what:
            faults.append(StoredFault(what, sha256, tuple(entries)))
    return Verified(len(named), sum(size for _, size in named), tuple(faults))


async def _fault(blobs: Blobs, entry: RecordEntry, progress: Progress) -> str:
    blob = blobs.peek(entry.sha256) or await blobs.open(entry.sha256)
    if blob is None:
        return "damaged" if blobs.was_damaged(entry.sha256) else "missing"
    try:
        is_whole = await _hash(blob, entry, progress) == entry.sha256
    finally:
        blob.close()
    if not is_whole:
        await blobs.remove(entry.sha256, damaged=True)
        return "damaged"
    return "" if blob.size == entry.size else "wrong"


async def _hash(blob: Blob, entry: RecordEntry, progress: Progress) -> str:
    running, done = hashlib.sha256(), 0
    async for piece in blob.chunks(0, blob.size):
        await asyncio.to_thread(running.update, piece)
        done += len(piece)
        progress.advance(entry.path, done, entry.size)
        if done == entry.size:
            progress.finish(entry.path)
    return running.hexdigest()
