"""Read an entry of a record from the store: its bytes, or the refusal with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.core.exchange import ResponseBody
from snapproxy.core.model import Refusal
from snapproxy.core.record import RecordEntry
from snapproxy_storage import Blob, Blobs


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """The bytes of an entry, and the cache status: HIT, MISS or JOINED, as in `core.exchange.Served`."""

    body: ResponseBody
    cache: str = "HIT"


async def stored_bytes(blobs: Blobs, entry: RecordEntry) -> StoredBytes | Refusal:
    """Return the stored bytes of an entry, which must not be an absence."""
    blob = blobs.peek(entry.sha256) or await blobs.open(entry.sha256)
    if blob is None:
        return damaged(entry) if blobs.was_damaged(entry.sha256) else gone(entry)
    return of_recorded_size(blob, entry)


def of_recorded_size(blob: Blob, entry: RecordEntry) -> StoredBytes | Refusal:
    """Return the bytes with the digest of an entry, or a refusal if their size differs from the entry's."""
    if blob.size != entry.size:
        blob.close()
        return _another_size(entry, blob.size)
    return StoredBytes(blob)


def absent(entry: RecordEntry) -> Refusal:
    """Return the refusal for a file that was absent when the record was made."""
    return Refusal(
        404,
        "Not in the archive at that time",
        f"It was absent when this was recorded: {entry.archive}/{entry.snapshot} had no {entry.path}.",
        headers={"X-Snapproxy-Snapshot": f"{entry.archive}/{entry.snapshot}"},
    )


def gone(entry: RecordEntry) -> Refusal:
    """Return the refusal for recorded bytes that are not in the store."""
    return Refusal(
        424,
        "The recorded bytes are not in the store",
        f"{entry.path} of {entry.archive}/{entry.snapshot} was served with sha256 {entry.sha256}.",
        "Import the artifact that contains them, or record the build again.",
    )


def damaged(entry: RecordEntry) -> Refusal:
    """Return the refusal for recorded bytes that were damaged in the store."""
    return Refusal(
        424,
        "The recorded bytes were damaged on disk",
        f"{entry.path} of {entry.archive}/{entry.snapshot} no longer had the bytes of its sha256 {entry.sha256}, "
        "and was removed from the store.",
        "Check the disk. Import the artifact that contains the file, or record the build again.",
    )


def _another_size(entry: RecordEntry, size: int) -> Refusal:
    return Refusal(
        424,
        "The record contradicts itself",
        f"{entry.path} of {entry.archive}/{entry.snapshot} is recorded with {entry.size} bytes; "
        f"the file of its sha256 has {size}.",
        "Get an unaltered copy of the lock or artifact.",
    )
