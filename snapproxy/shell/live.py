"""The present: what each archive looks like now, revalidated, adopted set by set, and served stale when nobody answers.

The state of one live file (a root, or a file nothing promises) is one row of facts. A root is *adopted* only when the successor of every
index that the store holds of the old set is here and verified (rule 7): until then, 60 s at most, the old set is served whole, and said so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from snapproxy.core.model import LIVE, Archive, Promise, Proof, Refusal, Role
from snapproxy.core.plan import fetch_now, fetch_promised_now
from snapproxy.core.steps import Held
from snapproxy.core.when import spell
from snapproxy.errors import SnapproxyError
from snapproxy.shell import refusals
from snapproxy.shell.asking import Asking
from snapproxy.shell.clock import Clock
from snapproxy.shell.flights import Flights
from snapproxy.shell.landings import Landed, Unchanged
from snapproxy.shell.promises import Promises
from snapproxy.shell.roots import Judge, Roots
from storage import Meta, Name, Store

FRESH_SECONDS = 10
"""An answer this young is not asked for again: one client's update asks for the same root several times."""

ADOPTION_SECONDS = 60.0
"""How long the successors of a set's indexes may take before the old set is served on for another round."""


@dataclass(frozen=True, slots=True)
class Current:
    """One live file as last adopted. `previous` is the root before it, whose by-hash names are still answered."""

    digest: str
    size: int
    proof: int
    checked: int
    etag: str = ""
    last_modified: str = ""
    previous: str = ""


class Live:
    """Files of the present. One refresh a file at a time, however many ask."""

    def __init__(
        self, *, store: Store, flights: Flights, promises: Promises, roots: Roots, clock: Clock, offline: bool
    ) -> None:
        self._store = store
        self._flights = flights
        self._promises = promises
        self._roots = roots
        self._clock = clock
        self._offline = offline
        self._refreshes: dict[str, asyncio.Task[Refusal | None]] = {}

    async def obtain(self, asking: Asking, path: str) -> Held | Refusal | None:
        """Return the live file at `path`, fresh, or stale and marked so; None when the archive has no such file."""
        key = _key(asking.row, path)
        current = self._current(key)
        if current is not None and (self._offline or self._clock.now() - current.checked < FRESH_SECONDS):
            return self._held(path, current, stale=self._offline)
        if self._offline:
            return refusals.missing_offline(fetch_now(asking.row, path, asking.family))
        refresh = self._refreshes.get(key)
        if refresh is None:
            refresh = self._refreshes[key] = asyncio.create_task(self._refresh(asking, path, key))
            refresh.add_done_callback(lambda _: self._refreshes.pop(key, None))
        await asyncio.wait({refresh}, timeout=max(0.0, asking.deadline - self._clock.monotonic()))
        if not refresh.done():
            failure: Refusal | None = refusals.still_fetching()
        else:
            failure = refresh.result()
        current = self._current(key)
        if failure is None and current is not None:
            return self._held(path, current, stale=False)
        if failure is not None and failure.is_absence:
            return None
        return failure if current is None else self._held(path, current, stale=True)

    def before(self, row: Archive, root: str) -> list[str]:
        """Return the digests of roots whose by-hash names are still answered beside the current one's."""
        current = self._current(_key(row, root))
        return [current.previous] if current is not None and current.previous else []

    def roots(self, row: Archive) -> list[Held]:
        """Return every root of the archive that has been served live, and the one before each."""
        found = []
        for path, _ in self._store.catalog.names(_register(row)):
            current = self._current(_key(row, path))
            if current is not None:
                digests = [current.digest, *self.before(row, path)]
                found += [Held(path, digest, current.size, Proof(current.proof)) for digest in digests]
        return found

    async def close(self) -> None:
        """Stop refreshing."""
        for refresh in list(self._refreshes.values()):
            refresh.cancel()
        await asyncio.gather(*self._refreshes.values(), return_exceptions=True)

    # --- refreshing -------------------------------------------------------------------------------------------------------

    async def _refresh(self, asking: Asking, path: str, key: str) -> Refusal | None:
        """Ask upstream, and adopt what is new. Returns why that did not happen."""
        current = self._current(key)
        step = fetch_now(asking.row, path, asking.family)
        if not step.sources:
            return refusals.no_upstream(step)
        judge: Judge | None = None
        if step.role is Role.ROOT:
            judge = self._roots.judge(step, asking, lambda asking, _, beside: self.obtain(asking, beside))
        validators = Meta() if current is None else Meta(etag=current.etag, last_modified=current.last_modified)
        flight, _ = self._flights.join(step, asking, judge, validators=validators)
        match landed := await flight.land(float("inf")):
            case Unchanged() if current is not None:
                await self._save(key, replace(current, checked=self._clock.now()))
            case Landed() if current is not None and landed.digest == current.digest:
                await self._save(
                    key,
                    replace(current, checked=self._clock.now(), etag=landed.etag, last_modified=landed.last_modified),
                )
            case Landed():
                if (
                    current is not None
                    and step.role is Role.ROOT
                    and not asking.family.roots_promise_packages  # such a root is the whole set
                    and not await self._bring_successors(asking, path, current, landed)
                ):
                    return refusals.still_fetching()
                if step.role is Role.ROOT:
                    await self._store.catalog.put_name(_register(asking.row), path, Name("", 0, 0))
                await self._save(key, self._adopted(landed, current, step.role))
            case Refusal():
                return landed
            case _:  # another process refreshed it, and has saved what it found
                return None
        return None

    async def _bring_successors(self, asking: Asking, path: str, current: Current, landed: Landed) -> bool:
        """Bring the new version of every index the store holds of the old set; say whether the new set may be adopted."""
        try:
            async with self._clock.timeout(ADOPTION_SECONDS):
                old = await self._promises.rows(asking.family, current.digest, path)
                new = dict(await self._promises.rows(asking.family, landed.digest, path))
                served = {
                    name
                    for name, promise in old
                    if name == promise.path and await self._holds(promise.digests.get("sha256"))
                }
                wanted = [promise for name in sorted(served & new.keys()) if (promise := new[name]).path == name]
                outcomes = await asyncio.gather(*(self._bring(asking, promise) for promise in wanted))
                return all(outcomes)
        except (TimeoutError, SnapproxyError):
            return False

    async def _bring(self, asking: Asking, promise: Promise) -> bool:
        if await self._holds(promise.digests.get("sha256")):
            return True
        flight, _ = self._flights.join(fetch_promised_now(asking.row, promise, asking.family), asking, None)
        return not isinstance(await flight.land(float("inf")), Refusal)

    async def _holds(self, digest: str | None) -> bool:
        blob = await self._store.blobs.open(digest) if digest else None
        if blob is None:
            return False
        blob.close()
        return True

    # --- state ------------------------------------------------------------------------------------------------------------

    def _current(self, key: str) -> Current | None:
        state: Mapping[str, Any] | None = self._store.catalog.fact(key, 0)
        return None if state is None else Current(**state)

    async def _save(self, key: str, current: Current) -> None:
        await self._store.catalog.put_fact(key, asdict(current))

    def _adopted(self, landed: Landed, current: Current | None, role: Role) -> Current:
        previous = current.digest if current is not None and role is Role.ROOT else ""
        return Current(
            landed.digest,
            landed.size,
            int(landed.proof),
            self._clock.now(),
            landed.etag,
            landed.last_modified,
            previous,
        )

    def _held(self, path: str, current: Current, *, stale: bool) -> Held:
        notes = {"X-Snapproxy-Stale": f"as of {spell(current.checked)}"} if stale else {}
        return Held(path, current.digest, current.size, Proof(current.proof), notes)


def _key(row: Archive, path: str) -> str:
    return f"live/{row.name}/{path}"


def _register(row: Archive) -> str:
    """Return the catalog space that lists which roots of an archive have been served live."""
    return f"roots:{row.name}/{LIVE}"
