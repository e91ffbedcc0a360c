"""Record references to stored blobs while no eviction removes any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from snapproxy.errors import StorageError
from snapproxy_storage import Blobs

POLL_SECONDS = 0.002
"""Poll interval while another task or process evicts blobs, which takes milliseconds."""


@asynccontextmanager
async def no_eviction(blobs: Blobs) -> AsyncIterator[None]:
    """Prevent evictions while the block checks that blobs exist and records references to them."""
    while (hold := blobs.hold()) is None:  # noqa: ASYNC110 - the lock may be another process's, which sets no event
        await asyncio.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        hold.release()


async def check_stored(blobs: Blobs, digests: Collection[str]) -> None:
    """Raise StorageError unless all files of an imported capture are stored."""
    missing = await asyncio.to_thread(lambda: sum(blobs.size(digest) is None for digest in digests))
    if missing:
        raise StorageError(
            "Files of the capture were removed while it was imported",
            why=f"{missing} of {len(digests)} files are not in the store: the quota leaves too little room.",
            hint="Import it again, or raise the setting `quota`.",
        )
