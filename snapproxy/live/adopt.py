"""What must be here before a new root is adopted: the successor of every index that the store holds of the old set (rule 7)."""

from __future__ import annotations

import asyncio

from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.core.model import ExpectedFile, Refusal
from snapproxy.core.sources import fetch_promised_now
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import Stored
from snapproxy.errors import SnapproxyError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy_storage import Blobs

ADOPTION_SECONDS = 60.0
"""How long the successors of a set's indexes may take before the old set is served on for another round."""


class SetAdopter:
    """Brings the indexes of a set that is about to be adopted."""

    def __init__(self, *, blobs: Blobs, names: Names, flights: Downloads, tables: IndexTables, clock: Clock) -> None:
        self._blobs = blobs
        self._names = names
        self._flights = flights
        self._tables = tables
        self._clock = clock

    async def bring(self, context: RequestContext, root: str, old: str, new: str) -> bool:
        """Bring what follows on the indexes held of the set `old` (the digest of the root at path `root`); say whether all of it came.

        An index that the new root no longer lists has no successor. A new root that cannot be read is not adopted either.
        A root that promises packages itself is the whole set.
        """
        if context.family.roots_list_packages:
            return True
        try:
            async with self._clock.timeout(ADOPTION_SECONDS):
                held = {
                    series
                    for series, each in await self._listed(context, root, old)
                    if await self._holds(context, each)
                }
                wanted = [expected for series, expected in await self._listed(context, root, new) if series in held]
                return all(await asyncio.gather(*(self._one(context, expected) for expected in wanted)))
        except (TimeoutError, SnapproxyError):
            return False

    async def _listed(self, context: RequestContext, root: str, digest: str) -> list[tuple[str, ExpectedFile]]:
        """Return everything that a root names, by its series."""
        entries = await self._tables.entries(context.family, digest, root)
        classify = context.family.classify
        return [(classify(name).series or name, expected) for name, expected in entries if name == expected.path]

    async def _one(self, context: RequestContext, expected: ExpectedFile) -> bool:
        if await self._holds(context, expected):
            return True
        flight, _ = self._flights.join(fetch_promised_now(context.archive, expected, context.family), context, None)
        landed = await flight.wait_outcome(float("inf"))
        return not isinstance(landed, Refusal) and not (isinstance(landed, Stored) and landed.is_in_memory)

    async def _holds(self, context: RequestContext, expected: ExpectedFile) -> bool:
        digest = self._names.sha256_of(context.archive.name, expected)
        blob = await self._blobs.open(digest) if digest else None
        if blob is not None:
            blob.close()
        return blob is not None
