"""When blobs were last served, in memory until they are written to the catalog.

The access times of the files cannot be used: a change of them changes the time of the last change, and the file would
be hashed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from snapproxy_storage.catalog import LocalCatalog
from snapproxy_storage.protocols import StorageFailure

_MOST_UNWRITTEN = 100_000
"""Maximum number of times in memory while the catalog cannot be written (about 20 MB)."""


class LocalServedTimes:
    """The times that this process noted since the last flush, over those in the catalog."""

    def __init__(self, catalog: LocalCatalog) -> None:
        self._catalog = catalog
        self._noted: dict[str, int] = {}
        self.note: Callable[[str, int], None] = self._noted.__setitem__
        """The assignment itself, without a call of ours, because every hit notes its blob."""

    async def flush(self) -> None:
        if not self._noted:
            return
        noted = dict(self._noted)
        self._noted.clear()  # never replaced: `note` is bound to it
        try:
            await self._catalog.put_served(noted)
        except StorageFailure:
            for digest, at in noted.items():
                if len(self._noted) < _MOST_UNWRITTEN:
                    self._noted.setdefault(digest, at)
            raise

    def forget(self, digest: str) -> None:
        """Forget the noted time of a blob that was removed."""
        self._noted.pop(digest, None)

    async def close(self) -> None:
        """Write the noted times; a full disk loses them."""
        with contextlib.suppress(StorageFailure):
            await self.flush()

    def of(self, digests: Sequence[str]) -> dict[str, int]:
        """Return the times of those blobs that were ever served. It may be called on a thread."""
        noted = {digest: at for digest in digests if (at := self._noted.get(digest)) is not None}
        return self._catalog.served(digests) | noted
