"""Carry out plans: turn each request into an answer, and convert every failure into a refusal.

`answer.planner` plans what to do, `download` downloads files, and `live` serves the current files of an archive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from snapproxy.answer.bad_snapshots import BadSnapshots
from snapproxy.answer.planner import Planner, request_context
from snapproxy.answer.snapshot_api import SnapshotApi
from snapproxy.answer.snapshot_files import PLANS, SnapshotFiles
from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.core.conditions import ClientDate, SentDate, date_to_send, is_dated, refuse_kept_root
from snapproxy.core.exchange import (
    Conditions,
    FileTarget,
    Moved,
    Outcome,
    PassTarget,
    Prefetch,
    Served,
    ServiceTarget,
    TunnelTarget,
)
from snapproxy.core.history import History
from snapproxy.core.model import LIVE, Archive, Family, Instant, Match, Proof, Refusal, Resolved, Role, TimeSpec
from snapproxy.core.plan_model import WHOLE, Fetch, PlanRequest, Serve
from snapproxy.core.resolve import refuse_moving
from snapproxy.core.time_spec import format_instant
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import Stored, StoredElsewhere, Unchanged
from snapproxy.errors import SnapproxyError
from snapproxy_storage import StorageFailure, Store

log = logging.getLogger(__name__)

MAX_PREFETCHES = 64
"""Maximum number of prefetches for requests queued in a pipeline (apt queues ten requests on each connection)."""


class Executor:
    """Answer requests (implements `core.exchange.Answerer`).

    `patience` maps a family to the seconds that its clients are kept waiting; a family without an entry uses its
    default.
    """

    def __init__(
        self,
        *,
        store: Store,
        families: Mapping[str, Family],
        patience: Mapping[str, float],
        histories: Mapping[str, History],
        files: SnapshotFiles,
        downloads: Downloads,
        names: Names,
        bad: BadSnapshots,
        service: SnapshotApi,
        planner: Planner,
        clock: Clock,
        offline: bool,
    ) -> None:
        self._store = store
        self._families = families
        self._patience = patience
        self._histories = histories
        self._planner = planner
        self.files = files
        self._downloads = downloads
        self._names = names
        self._bad = bad
        self._service = service
        self._clock = clock
        self._offline = offline
        self._prefetches: set[asyncio.Task[None]] = set()

    # --- for callers

    async def answer(
        self, target: FileTarget | ServiceTarget, conditions: Conditions, resolved: Resolved | None = None
    ) -> Outcome:
        """Answer a request; every failure is a Refusal.

        `resolved`: the snapshot to answer from, if it is known already.
        """
        try:
            return await self._answer(target, conditions, resolved)
        except SnapproxyError as error:
            return refusals.unavailable(
                whole=self._is_whole(target), status=error.status, reason=error.reason, why=error.why, hint=error.hint
            )
        except StorageFailure as failure:
            return refusals.of_store(failure, whole=self._is_whole(target))

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Prefetch | None:
        """Start the download for a request that is queued in a pipeline."""
        if not isinstance(target, FileTarget) or self._offline or len(self._prefetches) >= MAX_PREFETCHES:
            return None
        task = asyncio.create_task(self._prefetch(target, conditions))
        self._prefetches.add(task)
        task.add_done_callback(self._prefetches.discard)
        return task

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Refuse a request to a `pass` host while offline.

        Whether the configuration allows the host is checked with its address.
        """
        return refusals.pass_through_offline(target.host) if self._offline else None

    async def close(self) -> None:
        """Wait until stored files are recorded in the catalog; cancel everything else."""
        prefetches = list(self._prefetches)
        for prefetch in prefetches:
            prefetch.cancel()
        await self._downloads.close()
        await asyncio.gather(*prefetches, return_exceptions=True)

    # --- planning

    def context(self, archive: Archive, conditions: Conditions) -> RequestContext:
        """Return the context of one request, with the snapshots that are marked bad at this moment."""
        marked = self._bad.applied(archive)
        return request_context(marked, conditions, self._families, self._histories, self._patience, self._clock)

    async def resolve(self, archive: Archive, when: TimeSpec) -> Resolved | Refusal:
        """Return the snapshot that answers for a time."""
        context = self.context(archive, Conditions())
        return await self._planner.resolve(PlanRequest(context.archive, when, ""), context, self.files.obtain)

    async def resolve_unmarked(self, target: FileTarget, when: TimeSpec) -> Resolved | Refusal:
        """Return the snapshot that answers for a file at `when`, even if it is marked bad."""
        archive = replace(target.archive, bad=(), because=())
        context = replace(self.context(archive, Conditions()), archive=archive)
        return await self._planner.resolve(PlanRequest(archive, when, target.path), context, self.files.obtain)

    def _is_whole(self, target: FileTarget | ServiceTarget) -> bool:
        if isinstance(target, ServiceTarget):
            return False
        return self._families[target.archive.family].classify(target.path).role in WHOLE

    async def _answer(
        self, target: FileTarget | ServiceTarget, conditions: Conditions, resolved: Resolved | None
    ) -> Outcome:
        if isinstance(target, ServiceTarget):
            return await self._service.answer(target, self.context(target.archive, conditions))
        context = self.context(target.archive, conditions)
        request = PlanRequest(context.archive, target.when, target.path, target.base)
        snapshot = resolved or await self._snapshot(request, context)
        if isinstance(snapshot, Refusal):
            return snapshot
        cache = "HIT"
        for _ in range(PLANS):
            step = await self._planner.plan(request, snapshot, context, self.files.obtain)
            match step:
                case Refusal() | Moved():
                    return step
                case Serve():
                    outcome = await self._serve(step, context, conditions, cache)
                case Fetch():
                    outcome, cache = await self._fetch(step, context, conditions)
                case _:
                    assert_never(step)
            if outcome is not None:
                return _reported(outcome, target, step)
        return refusals.vanished()

    async def _snapshot(self, request: PlanRequest, context: RequestContext) -> Resolved | Refusal:
        """Return the snapshot for a client's request.

        `latest` is refused: its meaning could change between update and install.
        """
        resolved = await self._planner.resolve(request, context, self.files.obtain)
        if isinstance(resolved, Refusal) or request.when.match is not Match.LATEST:
            return resolved
        return refuse_moving(resolved)

    # --- carrying out

    async def _serve(self, step: Serve, context: RequestContext, conditions: Conditions, cache: str) -> Outcome | None:
        if step.role is Role.ROOT and step.proof is Proof.NONE and step.resolved.snapshot != LIVE:
            judged = await self.files.judge_again(step, context)
            if isinstance(judged, Refusal):
                return judged
            step = judged
        blob = self._store.blobs.peek(step.digest) or await self._store.blobs.open(step.digest)
        if blob is None:  # evicted: delete its name and plan again
            return await self.files.drop(step)
        try:
            if step.name_it:
                await self.files.name(step, context)
            if is_dated(context.family, step.role):
                own = await self.files.own_date(step, context)
                sent = self._date_of(_space(step), step.path, step.role, step.digest, own, context, conditions)
            else:
                sent = SentDate(self._names.date(step.digest))
            if isinstance(sent, Refusal):
                blob.close()
                return sent
        except BaseException:
            blob.close()
            raise
        archive, _, snapshot = _space(step).partition("/")
        return Served(
            blob,
            archive,
            snapshot,
            "",
            step.proof,
            cache,
            step.role,
            sent.date,
            step.digest,
            headers=step.notes,
            date_is_proof=sent.is_proof,
        )

    def _date_of(
        self,
        space: str,
        path: str,
        role: Role,
        digest: str,
        own: Instant | None,
        context: RequestContext,
        conditions: Conditions,
    ) -> SentDate | Refusal:
        """Return the date with which a changing file is sent, or a Refusal if the client would keep a newer one."""
        family, archive, since = context.family, context.archive.name, conditions.since
        if role is Role.ROOT and not family.tells_root_dates:
            return SentDate()
        client = None if since is None else ClientDate(since, self._names.dated(archive, path, since))
        bearers = None if own is None else self._names.dated(archive, path, own)
        sent = date_to_send(family, digest, own, bearers, client)
        is_pinned = space != f"{archive}/{LIVE}"
        if role is Role.ROOT and client is not None and is_pinned and not (sent.is_proof and sent.date == since):
            return refuse_kept_root(family, own, client, space) or sent
        return sent

    async def _fetch(self, step: Fetch, context: RequestContext, conditions: Conditions) -> tuple[Outcome | None, str]:
        """Start or join the flight.

        The outcome is None if the caller must plan again: another process has stored the file, or it was evicted.
        """
        if self._offline:
            return self.files.missing(step), ""
        if not step.sources:
            return refusals.no_upstream(step), ""
        flight, joined = self.files.join(step, context)
        cache = "JOINED" if joined else "MISS"
        outcome = await (flight.wait_outcome if step.whole else flight.wait_started)(context)
        match outcome:
            case Refusal():
                return outcome, cache
            case Stored(is_in_memory=False):
                return await self._serve(outcome.serving(step), context, conditions, cache), cache
            case StoredElsewhere() | Unchanged():
                await self.files.wait_for_name(step)
                return None, cache
            case None if not flight.is_receiving or step.role in (Role.ROOT, Role.SIGNATURE):
                return flight.timeout_refusal(), cache
        body = flight.follow(context)
        if body is None:  # another process has just finished the download
            await flight.wait_outcome(context)
            return None, cache
        archive, _, snapshot = _space(step).partition("/")
        proof = outcome.serving(step).proof if isinstance(outcome, Stored) else step.proof
        sent: SentDate | Refusal = SentDate(flight.date)
        if is_dated(context.family, step.role):  # its date is not recorded yet, so it proves nothing
            sent = self._date_of(_space(step), step.path, step.role, "", flight.date, context, conditions)
        if isinstance(sent, Refusal):
            body.close()
            return sent, cache
        return Served(body, archive, snapshot, "", proof, cache, step.role, sent.date, headers=step.notes), cache

    async def _prefetch(self, target: FileTarget, conditions: Conditions) -> None:
        context = self.context(target.archive, conditions)
        try:
            request = PlanRequest(context.archive, target.when, target.path)
            resolved = await self._snapshot(request, context)
            if isinstance(resolved, Refusal):
                return  # its own request will get the refusal
            step = await self._planner.plan(request, resolved, context, self.files.obtain)
            if isinstance(step, Fetch) and step.sources:
                flight, _ = self.files.join(step, context)
                await flight.wait_outcome(context, float("inf"))
        except (SnapproxyError, StorageFailure) as error:
            log.info("A prefetch failed: %s", type(error).__name__)  # its own request gets the reason


def _space(step: Serve | Fetch) -> str:
    """Return the snapshot of an answer as clients and records see it; few calls, because every hit needs it."""
    return step.reported_space if step.resolved.reported else step.space


def _reported(outcome: Outcome, target: FileTarget, step: Serve | Fetch) -> Outcome:
    """Add the requested time, its snapshot's span and its notes to an answer (docs/explain/design.md, section 2).

    The refusal of a download that several requests joined names the snapshot of the first one; it is corrected.
    """
    if isinstance(outcome, Refusal) and "X-Snapproxy-Snapshot" in outcome.headers:
        return replace(outcome, headers={**outcome.headers, "X-Snapproxy-Snapshot": _space(step)})
    if not isinstance(outcome, Served):
        return outcome
    headers = dict(outcome.headers)
    if step.resolved.valid is not None:
        headers["X-Snapproxy-Valid"] = "/".join(format_instant(instant) for instant in step.resolved.valid)
    if step.resolved.note:
        headers["X-Snapproxy-Note"] = "; ".join(filter(None, (step.resolved.note, headers.get("X-Snapproxy-Note"))))
    return replace(outcome, requested=target.when.text, headers=headers)
