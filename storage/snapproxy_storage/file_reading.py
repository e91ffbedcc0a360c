"""Reads a stretch of an open file for an event loop: what is small inline, what is large on a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from snapproxy_storage.failures import os_failure
from snapproxy_storage.protocols import StorageFailure

_PIECE = 256 * 1024
_INLINE = 64 * 1024
"""Up to here a read from the page cache (about 10 us) costs less than handing it to a thread."""


async def read_pieces(fd: int, start: int, stop: int) -> AsyncIterator[bytes]:
    """Yield the bytes from `start` up to `stop` of the file. Raises StorageFailure when it ends before."""
    while start < stop:
        count = min(_PIECE, stop - start)
        try:
            if count <= _INLINE:
                data = os.pread(fd, count, start)
            else:
                data = await asyncio.to_thread(os.pread, fd, count, start)
        except OSError as error:
            raise os_failure("cannot read the stored bytes", error) from error
        if not data:
            raise StorageFailure(
                f"the stored file ends at byte {start}, {stop - start} bytes before it should; remove it and ask again"
            )
        start += len(data)
        yield data
