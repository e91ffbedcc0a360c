"""Carries out plans: asks what they need, adds what was learned, and turns the finished one into an answer.

The one `match` over plans stands here. What to do is decided in `core.plan`; bytes are brought by `flights`; what the present looks like
is kept by `live`. Nothing the outside world does makes `answer` raise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from snapproxy.answer.bad_snapshots import BadSnapshots
from snapproxy.answer.facts import Facts
from snapproxy.answer.snapshot_api import SnapshotApi
from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names, size_of
from snapproxy.core import plan as planning
from snapproxy.core.conditions import without_older_date
from snapproxy.core.exchange import (
    Conditions,
    FileTarget,
    Moved,
    Outcome,
    PassTarget,
    Served,
    ServiceTarget,
    TunnelTarget,
)
from snapproxy.core.history import History
from snapproxy.core.model import LIVE, TIMELESS, Archive, Family, Match, Refusal, Resolved, Role, TimeSpec
from snapproxy.core.newer import refuse_newer
from snapproxy.core.plan import MAX_ROUNDS
from snapproxy.core.plan_model import WHOLE, Fetch, Known, Need, NotStored, PlanRequest, Serve, Step, StoredFile
from snapproxy.core.time_spec import format_instant
from snapproxy.download.downloads import Downloads
from snapproxy.download.flight import Flight
from snapproxy.download.outcome import Stored, StoredElsewhere, Unchanged
from snapproxy.errors import SnapproxyError
from snapproxy.trust.roots import RootVerifier
from snapproxy_storage import StorageFailure, Store

log = logging.getLogger(__name__)

MAX_PREFETCHES = 64
"""Flights begun for requests that still wait in a pipeline (apt queues ten a connection); further ones wait their turn."""

BACKGROUND_PATIENCE = 3600.0
"""Seconds that work without a waiting client may take for one file."""


class Executor:
    """Answers targets (`core.exchange.Answerer`)."""

    def __init__(
        self,
        *,
        store: Store,
        families: Mapping[str, Family],
        patience: Mapping[str, float],
        histories: Mapping[str, History],
        facts: Facts,
        flights: Downloads,
        roots: RootVerifier,
        names: Names,
        marks: BadSnapshots,
        service: SnapshotApi,
        clock: Clock,
        offline: bool,
    ) -> None:
        self._store = store
        self._families = families
        self._patience = patience
        self._histories = histories
        self._facts = facts
        self._flights = flights
        self._roots = roots
        self._names = names
        self._marks = marks
        self._service = service
        self._clock = clock
        self._offline = offline
        self._prefetches: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        facts.obtain = self.obtain

    # --- the seam ---------------------------------------------------------------------------------------------------------

    async def answer(
        self, target: FileTarget | ServiceTarget, conditions: Conditions, resolved: Resolved | None = None
    ) -> Outcome:
        """Answer a request; every failure is a Refusal. `resolved` is the snapshot to answer from where that is settled already."""
        try:
            return await self._answer(target, conditions, resolved)
        except SnapproxyError as error:
            return refusals.unavailable(
                whole=self._is_whole(target), status=error.status, reason=error.reason, why=error.why, hint=error.hint
            )
        except StorageFailure as failure:
            log.exception("the store failed")
            return refusals.broken_store(whole=self._is_whole(target), why=str(failure))

    def prefetch(self, target: FileTarget | ServiceTarget) -> None:
        """Begin the flight of a request that waits in a pipeline."""
        if not isinstance(target, FileTarget) or self._offline or len(self._prefetches) >= MAX_PREFETCHES:
            return
        key = (target.archive.name, target.when.text, target.path)
        if key not in self._prefetches:
            task = self._prefetches[key] = asyncio.create_task(self._prefetch(target))
            task.add_done_callback(lambda _: self._prefetches.pop(key, None))

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Let it pass, unless no packet may leave; that the configuration allows it was seen when its address was read."""
        return refusals.pass_through_offline(target.host) if self._offline else None

    async def close(self) -> None:
        """Let the names of what has landed be written; stop everything else."""
        for prefetch in list(self._prefetches.values()):
            prefetch.cancel()
        await self._flights.close()
        await asyncio.gather(*self._prefetches.values(), return_exceptions=True)

    # --- deciding ---------------------------------------------------------------------------------------------------------

    def context(self, archive: Archive, conditions: Conditions) -> RequestContext:
        """Return the context of one request: the row as it is marked at this moment."""
        family = self._families[archive.family]
        patience = BACKGROUND_PATIENCE if conditions.background else self._patience.get(archive.family, family.patience)
        deadline = self._clock.monotonic() + patience
        archive, history = self._marks.on(archive), self._histories[archive.history]
        return RequestContext(archive, family, history, deadline, conditions.background, conditions.via)

    async def resolve(self, archive: Archive, when: TimeSpec) -> Resolved | Refusal:
        """Settle a *when*, and nothing else."""
        context = self.context(archive, Conditions())
        request, known, now = PlanRequest(context.archive, when, ""), self._facts.at_hand(archive), self._clock.now()
        for _ in range(MAX_ROUNDS):
            answer = planning.resolve(request, known, now, family=context.family, history=context.history)
            if not isinstance(answer, Need):
                return answer
            known = known.plus(await self._facts.learn(answer.asks, context))
        raise AssertionError("a *when* that never settles")

    def _is_whole(self, target: FileTarget | ServiceTarget) -> bool:
        if isinstance(target, ServiceTarget):
            return False
        return self._families[target.archive.family].classify(target.path).role in WHOLE

    async def _decide(self, request: PlanRequest, context: RequestContext, resolved: Resolved | None = None) -> Step:
        """Plan, learn, and plan again until the plan needs nothing more."""
        known, now = self._facts.at_hand(request.archive) if resolved is None else Known(), self._clock.now()
        for _ in range(MAX_ROUNDS):
            if resolved is None:
                step = planning.plan(request, known, now, family=context.family, history=context.history)
            else:
                step = planning.plan_at(request, resolved, known, family=context.family, history=context.history)
            if not isinstance(step, Need):
                return step
            known = known.plus(await self._facts.learn(step.asks, context))
        raise AssertionError("a plan that never ends: every round must learn something")

    async def _answer(
        self, target: FileTarget | ServiceTarget, conditions: Conditions, resolved: Resolved | None
    ) -> Outcome:
        if isinstance(target, ServiceTarget):
            return await self._service.answer(target, self.context(target.archive, conditions))
        context = self.context(target.archive, conditions)
        request = PlanRequest(context.archive, target.when, target.path, target.base)
        cache = "HIT"
        for _ in range(3):  # again when the file has landed, when a blob was evicted, when another process brought it
            step = await self._decide(request, context, resolved)
            match step:
                case Refusal() | Moved():
                    return step
                case Serve():
                    outcome = await self._serve(step, context, conditions, cache)
                case Fetch():
                    outcome, cache = await self._fetch(step, context, conditions)
                case Need():
                    raise AssertionError("_decide returns finished plans")
                case _:
                    assert_never(step)
            if outcome is not None:
                return _told(without_older_date(outcome, context.family, conditions), target, step)
        return refusals.vanished()

    # --- carrying out -----------------------------------------------------------------------------------------------------

    async def _serve(self, step: Serve, context: RequestContext, conditions: Conditions, cache: str) -> Outcome | None:
        blob = self._store.blobs.peek(step.digest) or await self._store.blobs.open(step.digest)
        if blob is None:  # ENOENT is the eviction notice: forget, plan again
            await self._names.forget(step.space, step.path, step.digest)
            return None
        try:
            if step.name_it:
                await self._name(step)
            date = self._names.date(step.digest)
            newer = refuse_newer(context.family, step.role, date, conditions.since, step.space)
            if newer is not None and step.resolved.snapshot != LIVE:
                blob.close()
                return newer
        except BaseException:
            blob.close()
            raise
        if step.role is Role.ROOT and not context.family.tells_root_dates:
            date = None
        archive, _, snapshot = step.space.partition("/")
        return Served(blob, archive, snapshot, "", step.proof, cache, step.role, date, step.digest, headers=step.notes)

    async def _fetch(self, step: Fetch, context: RequestContext, conditions: Conditions) -> tuple[Outcome | None, str]:
        """Start or join the flight. No outcome: another process has the bytes, or they are gone again, so plan again."""
        if self._offline:
            return self._missing(step), ""
        if not step.sources:
            return refusals.no_upstream(step), ""
        flight, joined = self._join(step, context)
        cache = "JOINED" if joined else "MISS"
        landed = await (flight.wait_outcome if step.whole else flight.wait_started)(context.deadline)
        match landed:
            case Refusal():
                return landed, cache
            case Stored(is_in_memory=False):
                return await self._serve(landed.serving(step), context, conditions, cache), cache
            case StoredElsewhere() | Unchanged():
                await self._appears(step)
                return None, cache
            case None if not flight.is_receiving or step.role in (Role.ROOT, Role.SIGNATURE):
                return flight.timeout_refusal(), cache
        body = flight.follow()
        if body is None:  # another process has ended it in this very moment
            await flight.wait_outcome(context.deadline)
            return None, cache
        archive, _, snapshot = step.space.partition("/")
        proof = landed.serving(step).proof if isinstance(landed, Stored) else step.proof
        return Served(body, archive, snapshot, "", proof, cache, step.role, flight.date, headers=step.notes), cache

    def _missing(self, step: Fetch) -> Refusal:
        """Say that the store lacks a file, and why nobody is asked."""
        return refusals.missing_offline(step, was_absent=self._names.was_absent(step.space, step.path))

    def _join(self, step: Fetch, context: RequestContext) -> tuple[Flight, bool]:
        """Start or join the flight. What it brings is named even if everybody who asked has left by then."""
        check = self._roots.check_for(step, context, self.obtain) if step.role is Role.ROOT else None
        flight, joined = self._flights.join(step, context, check)
        if step.name_it:
            flight.expects_name = True
            self._flights.run_detached(self._name_when_landed(flight, step))
        return flight, joined

    async def _name(self, step: Serve) -> None:
        held = StoredFile(step.path, step.digest, step.size, step.proof)
        try:
            await self._names.name(step.space, step.path, held, step.role, step.resolved)
            if step.also:
                timeless = f"{step.space.partition('/')[0]}/{TIMELESS}"
                await self._names.name(timeless, step.also, held, step.role, Resolved(TIMELESS, 0))
        except StorageFailure as failure:  # a full disk: whoever asked is served, nothing is named
            log.warning("a file is stored and not named: %s", failure)

    async def _appears(self, step: Fetch) -> None:
        """Wait until the process that brought a file has written that down. One known by a strong digest is found without."""
        if step.expected is None or not step.expected.is_strong:
            await self._names.appears(step.space, step.path, step.expected)

    async def _name_when_landed(self, flight: Flight, step: Fetch) -> None:
        landed = await flight.wait_outcome(float("inf"))
        try:
            if isinstance(landed, Stored) and not landed.is_in_memory:
                await self._name(landed.serving(step))
        finally:
            flight.clear_name_pending()

    async def _prefetch(self, target: FileTarget) -> None:
        context = self.context(target.archive, Conditions())
        try:
            step = await self._decide(PlanRequest(context.archive, target.when, target.path), context)
            if isinstance(step, Fetch) and step.sources:
                flight, _ = self._join(step, context)
                await flight.wait_outcome(float("inf"))
        except (SnapproxyError, StorageFailure) as error:
            log.info("prefetch given up: %s", type(error).__name__)  # its own request will say why

    async def obtain(
        self, context: RequestContext, resolved: Resolved, path: str
    ) -> StoredFile | NotStored | Refusal | None:
        """Bring another file of a settled snapshot, whole and verified; None when it does not exist there.

        Arriving: it exists, and the full disk cannot keep it.
        """
        request = PlanRequest(context.archive, _exactly(resolved), path)
        for _ in range(3):
            step = await self._decide(request, context, resolved)
            match step:
                case Serve():
                    if size_of(self._store.blobs, step.digest) is not None:
                        return StoredFile(step.path, step.digest, step.size, step.proof)
                    await self._names.forget(step.space, step.path, step.digest)
                case Refusal():
                    return None if step.is_absence else step
                case Fetch() if self._offline:
                    return None if (missing := self._missing(step)).is_absence else missing
                case Fetch():
                    landed = await self._land(step, context)
                    if landed is not None:
                        return None if isinstance(landed, Refusal) and landed.is_absence else landed
                case _:
                    raise AssertionError("a file is never a folder")
        return refusals.vanished()

    async def _land(self, step: Fetch, context: RequestContext) -> StoredFile | NotStored | Refusal | None:
        """Fetch a file whole; None when another process has it."""
        flight, _ = self._join(step, context)
        match landed := await flight.wait_outcome(context.deadline):
            case Stored(is_in_memory=False):
                serve = landed.serving(step)
                await self._name(serve)
                return StoredFile(serve.path, serve.digest, serve.size, serve.proof)
            case Stored():
                return NotStored()
            case Refusal():
                return landed
            case None:
                return flight.timeout_refusal()
        await self._appears(step)
        return None


def _told(outcome: Outcome, target: FileTarget, step: Serve | Fetch) -> Outcome:
    """Add what was asked and what that came to (rule: each answer says which time was asked and which was used)."""
    if not isinstance(outcome, Served):
        return outcome
    headers = dict(outcome.headers)
    if step.resolved.valid is not None:
        headers["X-Snapproxy-Valid"] = "/".join(format_instant(instant) for instant in step.resolved.valid)
    if step.resolved.note:
        headers["X-Snapproxy-Note"] = step.resolved.note
    return replace(outcome, requested=target.when.text, valid=step.resolved.valid, headers=headers)


def _exactly(resolved: Resolved) -> TimeSpec:
    """Return the *when* that names a settled snapshot."""
    if resolved.snapshot == LIVE:
        return TimeSpec(LIVE, None, Match.LIVE)
    return TimeSpec(resolved.snapshot, resolved.instant, Match.EXACT)
