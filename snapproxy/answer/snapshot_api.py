"""Forward calls to an archive's own service, rate limited and cached.

The calls are `/mr/...`, `/file/<sha1>`, and lists of packages and folders.

debsnap, debbisect, debrebuild, debootsnap and debsbom call the snapshot service's API beside the archive itself;
downgrade and agetpkg read the lists of the Arch Linux Archive. A file by its SHA-1 is kept without expiry, with proof
`digest`. An answer about the archive is kept for an hour, a timeline for ten minutes; both are served stale while
upstream fails. Such an answer describes the current archive, whatever time was requested, so its proof is `none`.
"""

from __future__ import annotations

from typing import Any

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import NAME_POLL_SECONDS, NAME_POLLS, Names, size_of
from snapproxy.core.clock import is_fresh
from snapproxy.core.exchange import Outcome, Served, ServiceTarget
from snapproxy.core.model import LIVE, TIMELESS, ExpectedFile, Proof, Refusal, Role
from snapproxy.core.plan_model import NOW, Fetch, Source, StoredFile
from snapproxy.core.sources import sources_key
from snapproxy.download.downloads import Downloads
from snapproxy.download.flight import Flight
from snapproxy.download.outcome import Stored, StoredElsewhere, Unchanged
from snapproxy_storage import Store

ANSWER_SECONDS = 3600
"""How long an answer is fresh. `/mr/package` and similar answers change when a package is uploaded; users accept an
hour."""

TIMELINE_SECONDS = 600
"""How long a timeline is fresh; a new snapshot appears every six hours."""

MAX_ANSWER = 256 << 20
"""Maximum size of an answer in bytes: an archive may list everything that it ever contained."""

TODAY = "current answer of the archive's service; not pinned to a snapshot"
"""Sent in `X-Snapproxy-Note`, because a pinned client gets such an answer too."""

STALE_SECONDS = 30 * 86400
"""How long an answer may be served stale while upstream is down."""


class SnapshotApi:
    """Answer calls to an archive's own service (`core.exchange.ServiceTarget`)."""

    def __init__(self, *, store: Store, downloads: Downloads, names: Names, clock: Clock, offline: bool) -> None:
        self._store = store
        self._downloads = downloads
        self._names = names
        self._clock = clock
        self._offline = offline

    async def answer(self, target: ServiceTarget, context: RequestContext) -> Outcome:
        """Answer a call, from the store while that answer is fresh."""
        step = _fetch(target, context)
        stored, is_current = await self._stored(target)
        if stored is not None and (is_current or self._offline):
            return await self._served(step, stored, "HIT", stale=not is_current) or refusals.vanished()
        if self._offline:
            return refusals.missing_offline(step)
        if not step.sources:
            return refusals.no_upstream(step)
        outcome = await self._from_upstream(target, step, context)
        if isinstance(outcome, Refusal) and not outcome.is_absence and stored is not None:
            return await self._served(step, stored, "HIT", stale=True) or outcome
        return outcome

    async def _from_upstream(self, target: ServiceTarget, step: Fetch, context: RequestContext) -> Outcome:
        """Start or join the flight. A file is streamed while it downloads; an answer is short and sent whole."""
        flight, joined = self._downloads.join(step, context, None)
        cache = "JOINED" if joined else "MISS"
        outcome = await (flight.wait_started if target.sha1 else flight.wait_outcome)(context)
        match outcome:
            case Refusal():
                return outcome
            case Stored(is_in_memory=False):
                stored = StoredFile(target.path, outcome.digest, outcome.size, step.proof)
                await self._remember(target, stored)
                return await self._served(step, stored, cache, stale=False) or refusals.vanished()
            case StoredElsewhere() | Unchanged():
                return await self._once_remembered(target, step) or flight.timeout_refusal()
            case None if not (target.sha1 and flight.is_receiving):
                return flight.timeout_refusal()
        self._downloads.run_detached(self._remember_when_stored(flight, target))
        body = flight.follow(context)
        if body is None:  # the download has just finished
            return await self._once_remembered(target, step) or flight.timeout_refusal()
        return Served(body, target.archive.name, TIMELESS, "", step.proof, cache, Role.OTHER, flight.date)

    async def _once_remembered(self, target: ServiceTarget, step: Fetch) -> Outcome | None:
        """Serve an answer that another request or process has just fetched.

        The wait until it is recorded is bounded.
        """
        for _ in range(NAME_POLLS):
            stored, is_current = await self._stored(target)
            if stored is not None and is_current:
                return await self._served(step, stored, "JOINED", stale=False)
            await self._clock.sleep(NAME_POLL_SECONDS)
        return None

    async def _stored(self, target: ServiceTarget) -> tuple[StoredFile | None, bool]:
        """Return the stored answer, and whether it is fresh; None if it is missing or its blob was evicted."""
        if target.sha1:
            stored, is_current = self._names.alias("sha1", target.sha1), True
        else:
            answer: dict[str, Any] | None = await self._store.expiring.get(_key(target))
            if answer is None:
                return None, False
            stored = StoredFile(target.path, answer["digest"], answer["size"], Proof.NONE)
            is_current = is_fresh(answer["until"], self._clock.now(), _seconds(target))
        if stored is None or await size_of(self._store.blobs, stored.digest) is None:
            return None, False
        return stored, is_current

    async def _remember(self, target: ServiceTarget, stored: StoredFile) -> None:
        if target.sha1:
            await self._names.put_alias("sha1", target.sha1, stored.digest, stored.size)
            return
        until = self._clock.now() + _seconds(target)
        answer = {"digest": stored.digest, "size": stored.size, "until": until}
        await self._store.expiring.put(_key(target), answer, seconds=STALE_SECONDS)

    async def _remember_when_stored(self, flight: Flight, target: ServiceTarget) -> None:
        outcome = await flight.ended()
        if isinstance(outcome, Stored) and not outcome.is_in_memory:
            await self._remember(target, StoredFile(target.path, outcome.digest, outcome.size, Proof.DIGEST))

    async def _served(self, step: Fetch, stored: StoredFile, cache: str, *, stale: bool) -> Served | None:
        blob = await self._store.blobs.open(stored.digest)
        if blob is None:
            return None
        archive, _, snapshot = step.space.partition("/")
        headers = {"X-Snapproxy-Note": TODAY} if snapshot == LIVE else {}
        if stale:
            headers["X-Snapproxy-Stale"] = "upstream does not answer"
        date, kind = self._names.date(stored.digest), "text/html; charset=utf-8" if step.is_page else ""
        return Served(
            blob,
            archive,
            snapshot,
            "",
            step.proof,
            cache,
            Role.OTHER,
            date,
            stored.digest,
            media_type=kind,
            headers=headers,
            date_is_proof=snapshot == TIMELESS,
        )


def _seconds(target: ServiceTarget) -> int:
    """Return how long an answer is fresh."""
    return TIMELINE_SECONDS if target.path.startswith("/mr/timestamp") else ANSWER_SECONDS


def _key(target: ServiceTarget) -> str:
    """Return the key of an answer: another service that is configured later is asked again."""
    return f"service/{target.archive.name}/{sources_key(target.archive.snapshot)}{target.path}"


def _fetch(target: ServiceTarget, context: RequestContext) -> Fetch:
    """Return the fetch of a call. Its bytes are verified by their SHA-1 if the path names one."""
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
