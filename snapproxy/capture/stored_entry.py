"""What an entry of a record is given as: its bytes from the store, or the refusal that says why not."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.core.exchange import ResponseBody
from snapproxy.core.model import Refusal
from snapproxy.core.record import RecordEntry
from snapproxy_storage import Blob, Blobs


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """The bytes of an entry, and whether they were here: HIT, MISS or JOINED, as `core.exchange.Served` has it."""

    body: ResponseBody
    cache: str = "HIT"


async def stored_bytes(blobs: Blobs, entry: RecordEntry) -> StoredBytes | Refusal:
    """Return the bytes of an entry that is no absence, if the store has them."""
    blob = blobs.peek(entry.sha256) or await blobs.open(entry.sha256)
    return gone(entry) if blob is None else of_recorded_size(blob, entry)


def of_recorded_size(blob: Blob, entry: RecordEntry) -> StoredBytes | Refusal:
    """Return the bytes that have the digest of an entry, unless the entry is wrong about their number."""
    if blob.size != entry.size:
        blob.close()
        return _another_size(entry, blob.size)
    return StoredBytes(blob)


def absent(entry: RecordEntry) -> Refusal:
    """Say that a file was not there when the record was made."""
    return Refusal(
        404,
        "Not in the archive at that time",
        f"So it was when this was recorded: {entry.archive}/{entry.snapshot} had no {entry.path}.",
        headers={"X-Snapproxy-Snapshot": f"{entry.archive}/{entry.snapshot}"},
    )


def gone(entry: RecordEntry) -> Refusal:
    """Say that the bytes of a record are not here."""
    return Refusal(
        424,
        "The recorded bytes are not in the store",
        f"{entry.path} of {entry.archive}/{entry.snapshot} was served with sha256 {entry.sha256}.",
        "Import the artifact that holds them, or record the build again.",
    )


def _another_size(entry: RecordEntry, size: int) -> Refusal:
    return Refusal(
        424,
        "The record contradicts itself",
        f"{entry.path} of {entry.archive}/{entry.snapshot} shall have {entry.size} bytes; what has its sha256 has {size}.",
        "Take the lock or artifact from where it was written, unaltered.",
    )
