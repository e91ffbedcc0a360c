"""Read a blob or an arriving file whole into memory, with a limit on its size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from snapproxy_storage.protocols import Blobs, StorageFailure


class BodyTooLarge(StorageFailure):
    """The body has more bytes than the caller accepts in memory. No byte of it is returned."""


class Readable(Protocol):
    """The part of `Body` that `read_whole` uses."""

    @property
    def size(self) -> int | None: ...

    async def wait(self, offset: int) -> int: ...

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


async def read_whole(body: Readable, limit: int) -> bytes:
    """Return all bytes of an open body, following a draft to its end. Closes the body, even if it raises.

    Raises BodyTooLarge if there are more than `limit` bytes, and the errors of the body's `wait` and `chunks`.
    """
    try:
        pieces: list[bytes] = []
        at = 0
        _check_size(body.size, limit)
        while body.size is None or at < body.size:
            ready = await body.wait(at)
            _check_size(ready, limit)
            async for piece in body.chunks(at, ready):
                pieces.append(piece)
                at += len(piece)
        return b"".join(pieces)
    finally:
        body.close()


async def read_blob(blobs: Blobs, digest: str, limit: int) -> bytes | None:
    """Return all bytes of a blob, None if the store does not have it.

    Raises BodyTooLarge if it has more than `limit` bytes.
    """
    blob = await blobs.open(digest)
    return None if blob is None else await read_whole(blob, limit)


def _check_size(size: int | None, limit: int) -> None:
    if size is not None and size > limit:
        raise BodyTooLarge(f"the stored file has {size} bytes or more; at most {limit} are read into memory")
