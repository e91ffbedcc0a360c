"""What an entry of a record is given as: its bytes from the store, or the refusal that says why not."""

from __future__ import annotations

from snapproxy.core.model import Refusal
from snapproxy.core.record import Entry
from storage import Blob, Blobs


async def held(blobs: Blobs, entry: Entry) -> Blob | Refusal:
    """Return the bytes of an entry that is no absence, if the store has them."""
    return blobs.peek(entry.sha256) or await blobs.open(entry.sha256) or gone(entry)


def absent(entry: Entry) -> Refusal:
    """Say that a file was not there when the record was made."""
    return Refusal(
        404,
        "Not in the archive at that time",
        f"So it was when this was recorded: {entry.archive}/{entry.snapshot} had no {entry.path}.",
        headers={"X-Snapproxy-Snapshot": f"{entry.archive}/{entry.snapshot}"},
    )


def gone(entry: Entry) -> Refusal:
    """Say that the bytes of a record are not here."""
    return Refusal(
        424,
        "The recorded bytes are not in the store",
        f"{entry.path} of {entry.archive}/{entry.snapshot} was served with sha256 {entry.sha256}.",
        "Import the artifact that holds them, or record the build again.",
    )
