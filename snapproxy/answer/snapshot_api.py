"""Questions to an archive's memory, passed through, paced and cached: `/mr/...` answers, `/file/<sha1>`, an archive's lists and listings.

debsnap, debbisect, debrebuild, debootsnap and debsbom call the snapshot service's API beside the archive itself; downgrade and agetpkg read
what the Arch Linux Archive lists. A file by its SHA-1 is kept for ever, with proof `digest`; an answer about the archive is kept an hour, a
timeline ten minutes, and both are served stale when upstream fails. Such an answer is of today, whatever time was asked for: its proof is `none`.
"""

from __future__ import annotations

from typing import Any

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import NAME_POLL_SECONDS, NAME_POLLS, Names, size_of
from snapproxy.core.exchange import Outcome, Served, ServiceTarget
from snapproxy.core.model import LIVE, TIMELESS, ExpectedFile, Proof, Refusal, Role
from snapproxy.core.plan_model import NOW, Fetch, Source, StoredFile
from snapproxy.download.downloads import Downloads
from snapproxy.download.flight import Flight
from snapproxy.download.outcome import Stored, StoredElsewhere, Unchanged
from snapproxy_storage import Store

ANSWER_SECONDS = 3600
"""What `/mr/package` and its kin say changes when a package is uploaded; an hour is what their users tolerate."""

TIMELINE_SECONDS = 600
"""A timeline grows every six hours."""

MAX_ANSWER = 256 << 20
"""Bytes of an answer: an archive may list everything it ever held, but no more than a client could make something of."""

TODAY = "the archive's answer of today, of no snapshot"
"""Told in `X-Snapproxy-Note`, since such an answer is given in a pinned view too."""

STALE_SECONDS = 30 * 86400
"""How long an answer may stand in while upstream is down."""


class SnapshotApi:
    """Answers what is not a file of an archive at a time, but a question to the archive's memory."""

    def __init__(self, *, store: Store, flights: Downloads, names: Names, clock: Clock, offline: bool) -> None:
        self._store = store
        self._flights = flights
        self._names = names
        self._clock = clock
        self._offline = offline

    async def answer(self, target: ServiceTarget, context: RequestContext) -> Outcome:
        """Answer a call, from the store where it may be believed still."""
        step = _fetch(target, context)
        held, is_fresh = await self._stored(target)
        if held is not None and (is_fresh or self._offline):
            return await self._served(step, held, "HIT", stale=not is_fresh) or refusals.vanished()
        if self._offline:
            return refusals.missing_offline(step)
        if not step.sources:
            return refusals.no_upstream(step)
        outcome = await self._from_upstream(target, step, context)
        if isinstance(outcome, Refusal) and not outcome.is_absence and held is not None:
            return await self._served(step, held, "HIT", stale=True) or outcome
        return outcome

    async def _from_upstream(self, target: ServiceTarget, step: Fetch, context: RequestContext) -> Outcome:
        """Start or join the flight. A file streams as it arrives, an answer is short and comes whole."""
        flight, joined = self._flights.join(step, context, None)
        cache = "JOINED" if joined else "MISS"
        landed = await (flight.wait_started if target.sha1 else flight.wait_outcome)(context.deadline)
        match landed:
            case Refusal():
                return landed
            case Stored(is_in_memory=False):
                held = StoredFile(target.path, landed.digest, landed.size, step.proof)
                await self._remember(target, held)
                return await self._served(step, held, cache, stale=False) or refusals.vanished()
            case StoredElsewhere() | Unchanged():
                return await self._once_remembered(target, step) or flight.timeout_refusal()
            case None if not (target.sha1 and flight.is_receiving):
                return flight.timeout_refusal()
        self._flights.run_detached(self._remember_when_landed(flight, target))
        body = flight.follow()
        if body is None:  # it has ended in this very moment
            return await self._once_remembered(target, step) or flight.timeout_refusal()
        return Served(body, target.archive.name, TIMELESS, "", step.proof, cache, Role.OTHER, flight.date)

    async def _once_remembered(self, target: ServiceTarget, step: Fetch) -> Outcome | None:
        """Serve what has just been fetched, once whoever fetched it has written down what that is; not for ever, it may have met a failure."""
        for _ in range(NAME_POLLS):
            held, is_fresh = await self._stored(target)
            if held is not None and is_fresh:
                return await self._served(step, held, "JOINED", stale=False)
            await self._clock.sleep(NAME_POLL_SECONDS)
        return None

    async def _stored(self, target: ServiceTarget) -> tuple[StoredFile | None, bool]:
        """Return what the store has, and whether it may be believed still. A blob that was evicted is not had."""
        if target.sha1:
            held, is_fresh = self._names.alias("sha1", target.sha1), True
        else:
            answer: dict[str, Any] | None = await self._store.expiring.get(_key(target))
            if answer is None:
                return None, False
            held = StoredFile(target.path, answer["digest"], answer["size"], Proof.NONE)
            is_fresh = answer["until"] > self._clock.now()
        if held is None or size_of(self._store.blobs, held.digest) is None:
            return None, False
        return held, is_fresh

    async def _remember(self, target: ServiceTarget, held: StoredFile) -> None:
        if target.sha1:
            await self._names.put_alias("sha1", target.sha1, held.digest, held.size)
            return
        seconds = TIMELINE_SECONDS if target.path.startswith("/mr/timestamp") else ANSWER_SECONDS
        answer = {"digest": held.digest, "size": held.size, "until": self._clock.now() + seconds}
        await self._store.expiring.put(_key(target), answer, seconds=STALE_SECONDS)

    async def _remember_when_landed(self, flight: Flight, target: ServiceTarget) -> None:
        landed = await flight.wait_outcome(float("inf"))
        if isinstance(landed, Stored) and not landed.is_in_memory:
            await self._remember(target, StoredFile(target.path, landed.digest, landed.size, Proof.DIGEST))

    async def _served(self, step: Fetch, held: StoredFile, cache: str, *, stale: bool) -> Served | None:
        blob = await self._store.blobs.open(held.digest)
        if blob is None:
            return None
        archive, _, snapshot = step.space.partition("/")
        headers = {"X-Snapproxy-Note": TODAY} if snapshot == LIVE else {}
        if stale:
            headers["X-Snapproxy-Stale"] = "upstream does not answer"
        date, kind = self._names.date(held.digest), "text/html; charset=utf-8" if step.is_page else ""
        return Served(
            blob,
            archive,
            snapshot,
            "",
            step.proof,
            cache,
            Role.OTHER,
            date,
            held.digest,
            media_type=kind,
            headers=headers,
        )


def _key(target: ServiceTarget) -> str:
    return f"service/{target.archive.name}{target.path}"


def _fetch(target: ServiceTarget, context: RequestContext) -> Fetch:
    """Return the fetch of a call: its bytes are promised where the path names their SHA-1, else not."""
    addresses = ((context.history.service_url(base, target.path), base) for base in target.archive.snapshot)
    sources = tuple(Source(url, base, last_resort=True) for url, base in addresses if url)
    if target.sha1:
        expected = ExpectedFile(target.path, None, {"sha1": target.sha1})
        space = f"{target.archive.name}/{TIMELESS}"
        return Fetch(f"sha1:{target.sha1}", space, target.path, sources, Role.OTHER, Proof.DIGEST, NOW, expected)
    return Fetch(
        f"name:{_key(target)}", f"{target.archive.name}/{LIVE}", target.path, sources, Role.OTHER, Proof.NONE, NOW,
        most=MAX_ANSWER, is_page=target.is_listing,
    )  # fmt: skip
