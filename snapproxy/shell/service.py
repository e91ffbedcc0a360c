"""The snapshot service's own API, passed through, paced and cached: `/mr/...` answers and `/file/<sha1>`.

debsnap, debbisect, debrebuild, debootsnap and debsbom call it beside the archive itself. A file by its SHA-1 is kept for ever, with proof
`digest`; an answer about the archive is kept an hour, a timeline ten minutes, and both are served stale when upstream fails.
"""

from __future__ import annotations

from typing import Any

from snapproxy.core.exchange import Outcome, Served, ServiceTarget
from snapproxy.core.model import Promise, Proof, Refusal, Role
from snapproxy.core.steps import NOW, Fetch, Held, Source
from snapproxy.shell import refusals
from snapproxy.shell.asking import Asking
from snapproxy.shell.clock import Clock
from snapproxy.shell.flights import Flight, Flights
from snapproxy.shell.landings import Elsewhere, Landed, Landing
from snapproxy.shell.names import Names
from storage import Store

ANSWER_SECONDS = 3600
"""What `/mr/package` and its kin say changes when a package is uploaded; an hour is what their users tolerate."""

TIMELINE_SECONDS = 600
"""A timeline grows every six hours."""

STALE_SECONDS = 30 * 86400
"""How long an answer may stand in while upstream is down."""


APPEAR_POLL_SECONDS = 0.05
APPEAR_POLLS = 20
"""How often and how long what another process has brought is looked for, until that one has written it down."""


class Service:
    """Answers what is not a file of an archive at a time, but a question to the archive's memory."""

    def __init__(self, *, store: Store, flights: Flights, names: Names, clock: Clock, offline: bool) -> None:
        self._store = store
        self._flights = flights
        self._names = names
        self._clock = clock
        self._offline = offline

    async def answer(self, target: ServiceTarget, asking: Asking) -> Outcome:
        """Answer a call, from the store where it may be believed still."""
        step = _fetch(target, asking)
        held, is_fresh = self._stored(target)
        if held is not None and (is_fresh or self._offline):
            served = await self._served(step, held, "HIT", stale=not is_fresh)
            if served is not None:  # else it was evicted: ask for it anew
                return served
        if self._offline:
            return refusals.missing_offline(step)
        if not step.sources:
            return refusals.no_upstream(step)
        flight, joined = self._flights.join(step, asking, None)
        cache = "JOINED" if joined else "MISS"
        if target.sha1:
            if refusal := await flight.head(asking.deadline):
                return refusal
            self._flights.later(self._remember_when_landed(flight, target))
            if body := flight.follow():
                return Served(body, step.space, target.sha1, "", Proof.DIGEST, cache, Role.OTHER, flight.date)
        return await self._landed(step, target, flight, await flight.land(asking.deadline), held, cache)

    async def _landed(
        self,
        step: Fetch,
        target: ServiceTarget,
        flight: Flight,
        landed: Landing | None,
        held: Held | None,
        cache: str,
    ) -> Outcome:
        if isinstance(landed, Landed):
            held = Held(target.path, landed.digest, landed.size, step.proof)
            if landed.is_adrift and (body := flight.follow()):
                return Served(body, step.space, "", "", step.proof, cache, Role.OTHER, flight.date)
            await self._remember(target, held)
            return await self._served(step, held, cache, stale=False) or refusals.vanished()
        if isinstance(landed, Elsewhere) and (brought := await self._appears(target)):
            return await self._served(step, brought, cache, stale=False) or refusals.vanished()
        if isinstance(landed, Refusal) and landed.is_absence:
            return landed
        stale = None if held is None else await self._served(step, held, "HIT", stale=True)
        return stale or (landed if isinstance(landed, Refusal) else flight.not_in_time())

    def _stored(self, target: ServiceTarget) -> tuple[Held | None, bool]:
        if target.sha1:
            return self._names.alias("sha1", target.sha1), True
        answer: dict[str, Any] | None = self._store.ephemera.get(_key(target))
        if answer is None:
            return None, False
        return Held(target.path, answer["digest"], answer["size"], Proof.NONE), answer["until"] > self._clock.now()

    async def _appears(self, target: ServiceTarget) -> Held | None:
        """Wait for what another process has brought to be written down; not for ever, it may have met a failure."""
        for _ in range(APPEAR_POLLS):
            held, is_fresh = self._stored(target)
            if held is not None and is_fresh:
                return held
            await self._clock.sleep(APPEAR_POLL_SECONDS)
        return None

    async def _remember(self, target: ServiceTarget, held: Held) -> None:
        if target.sha1:
            await self._names.put_alias("sha1", target.sha1, held.digest, held.size)
            return
        seconds = TIMELINE_SECONDS if target.path.startswith("/mr/timestamp") else ANSWER_SECONDS
        answer = {"digest": held.digest, "size": held.size, "until": self._clock.now() + seconds}
        self._store.ephemera.put(_key(target), answer, seconds=STALE_SECONDS)

    async def _remember_when_landed(self, flight: Flight, target: ServiceTarget) -> None:
        landed = await flight.land(float("inf"))
        if isinstance(landed, Landed) and not landed.is_adrift:
            await self._remember(target, Held(target.path, landed.digest, landed.size, Proof.DIGEST))

    async def _served(self, step: Fetch, held: Held, cache: str, *, stale: bool) -> Served | None:
        blob = await self._store.blobs.open(held.digest)
        if blob is None:
            return None
        headers = {"X-Snapproxy-Stale": "upstream does not answer"} if stale else {}
        date = self._names.date(held.digest)
        return Served(
            blob, step.space, held.digest[:12], "", step.proof, cache, Role.OTHER, date, held.digest, headers=headers
        )


def _key(target: ServiceTarget) -> str:
    return f"service/{target.archive.name}{target.path}"


def _fetch(target: ServiceTarget, asking: Asking) -> Fetch:
    """Return the fetch of a call: its bytes are promised where the path names their SHA-1, else not."""
    addresses = ((asking.history.service_url(base, target.path), base) for base in target.archive.snapshot)
    sources = tuple(Source(url, base, last_resort=True) for url, base in addresses if url)
    if target.sha1:
        promise = Promise(target.path, None, {"sha1": target.sha1})
        return Fetch(f"sha1:{target.sha1}", "file", target.path, sources, Role.OTHER, Proof.DIGEST, NOW, promise)
    return Fetch(f"name:{_key(target)}", "mr", target.path, sources, Role.OTHER, Proof.NONE, NOW)
