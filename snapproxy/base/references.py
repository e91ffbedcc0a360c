"""Record references to stored blobs while no eviction removes any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

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


async def missing(blobs: Blobs, digests: Iterable[str]) -> list[str]:
    """Return those of the blobs that are not stored."""
    return await asyncio.to_thread(lambda: [digest for digest in digests if blobs.size(digest) is None])
