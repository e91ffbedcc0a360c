"""What must be here before a new root is adopted: the successor of every index that the store holds of the old set (rule 7)."""

from __future__ import annotations

import asyncio

from snapproxy.core.model import Promise, Refusal
from snapproxy.core.sources import fetch_promised_now
from snapproxy.errors import SnapproxyError
from snapproxy.shell.asking import Asking
from snapproxy.shell.clock import Clock
from snapproxy.shell.flights import Flights
from snapproxy.shell.landings import Landed
from snapproxy.shell.names import Names
from snapproxy.shell.promises import Promises
from storage import Blobs

ADOPTION_SECONDS = 60.0
"""How long the successors of a set's indexes may take before the old set is served on for another round."""


class Successors:
    """Brings the indexes of a set that is about to be adopted."""

    def __init__(self, *, blobs: Blobs, names: Names, flights: Flights, promises: Promises, clock: Clock) -> None:
        self._blobs = blobs
        self._names = names
        self._flights = flights
        self._promises = promises
        self._clock = clock

    async def bring(self, asking: Asking, root: str, old: str, new: str) -> bool:
        """Bring what follows on the indexes held of the set `old` (the digest of the root at path `root`); say whether all of it came.

        An index that the new root no longer lists has no successor. A new root that cannot be read is not adopted either.
        A root that promises packages itself is the whole set.
        """
        if asking.family.roots_promise_packages:
            return True
        try:
            async with self._clock.timeout(ADOPTION_SECONDS):
                held = {
                    series for series, each in await self._listed(asking, root, old) if await self._holds(asking, each)
                }
                wanted = [promise for series, promise in await self._listed(asking, root, new) if series in held]
                return all(await asyncio.gather(*(self._one(asking, promise) for promise in wanted)))
        except (TimeoutError, SnapproxyError):
            return False

    async def _listed(self, asking: Asking, root: str, digest: str) -> list[tuple[str, Promise]]:
        """Return everything that a root names, by its series."""
        rows = await self._promises.rows(asking.family, digest, root)
        classify = asking.family.classify
        return [(classify(name).series or name, promise) for name, promise in rows if name == promise.path]

    async def _one(self, asking: Asking, promise: Promise) -> bool:
        if await self._holds(asking, promise):
            return True
        flight, _ = self._flights.join(fetch_promised_now(asking.row, promise, asking.family), asking, None)
        landed = await flight.land(float("inf"))
        return not isinstance(landed, Refusal) and not (isinstance(landed, Landed) and landed.is_adrift)

    async def _holds(self, asking: Asking, promise: Promise) -> bool:
        digest = self._names.sha256_of(asking.row.name, promise)
        blob = await self._blobs.open(digest) if digest else None
        if blob is not None:
            blob.close()
        return blob is not None
