"""Serve the current files of an archive.

Roots are revalidated, adopted together with their indexes, and served stale while upstream is down.

A new root is *adopted* only when the successor of every stored index of the old root is stored and verified (rule 7).
Until then the old root and its indexes are served, marked as stale. A root is revalidated when a client requests it,
not when a client requests a file that it lists: the index and the signature that follow must belong to the root that
the client received.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.concurrency import Recent, SharedTask
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Archive, Proof, Refusal, Role
from snapproxy.core.plan_model import Fetch, NotStored, StoredFile
from snapproxy.core.sources import fetch_now
from snapproxy.core.time_spec import format_instant
from snapproxy.download.downloads import Downloads
from snapproxy.download.flight import Flight
from snapproxy.download.outcome import Stored, Unchanged
from snapproxy.live.observations import Observations
from snapproxy.live.revalidate import Revalidator
from snapproxy.live.state import LiveCopy, LiveState, LiveStates
from snapproxy_storage import Meta

FRESH_SECONDS = 10
"""A root checked within this time is not revalidated: one update of a client requests the same root several times."""

MAX_FAILED = 1024
"""Maximum number of roots whose failure is remembered: clients choose their paths."""

SEEN_SECONDS = 600
"""How long a checked root is used to look up files before it is revalidated, in seconds."""

FINISH_SECONDS = 0.05
"""How long to wait for a streaming file to be stored, so that it can be served from the store, in seconds."""

POLL_ROOT_SECONDS = 0.5
"""Poll interval while waiting for a root, in seconds: a stale copy is served as soon as upstream is cooling down."""

APPEAR_SECONDS = 1.0
"""How long to wait for the state of a file that another process has downloaded, in seconds."""

POLL_SECONDS = 0.05
"""Poll interval while waiting for the state of a file that another process has downloaded, in seconds."""


@dataclass(frozen=True, slots=True)
class _Current:
    """A live file as it is served: its state, and whether it is stale."""

    state: LiveState
    is_stale: bool

    @property
    def notes(self) -> Mapping[str, str]:
        return {"X-Snapproxy-Stale": f"as of {format_instant(self.state.checked)}"} if self.is_stale else {}

    def stored(self, path: str) -> StoredFile:
        file = self.state.file
        return StoredFile(path, file.digest, file.size, Proof(self.state.proof), self.notes)


class LiveFiles:
    """Serves current files. At most one revalidation of a root runs on the machine, for any number of clients."""

    def __init__(
        self,
        *,
        states: LiveStates,
        revalidator: Revalidator,
        downloads: Downloads,
        observations: Observations,
        clock: Clock,
        offline: bool,
    ) -> None:
        self._states = states
        self._revalidator = revalidator
        self._downloads = downloads
        self._observations = observations
        self._clock = clock
        self._offline = offline
        self._revalidations: dict[tuple[str, str], SharedTask[LiveState | NotStored | Refusal]] = {}
        self._renewals: dict[str, _Renewal] = {}
        self._failed: Recent[tuple[str, str], float] = Recent(clock, most=MAX_FAILED)
        """When to retry (monotonic seconds) a root whose revalidation or adoption failed."""

    async def obtain(
        self, context: RequestContext, path: str, *, for_lookup: bool = False
    ) -> StoredFile | Refusal | NotStored | None:
        """Return the live file at `path`, fresh, or stale and marked as such; None if the archive has no such file.

        `for_lookup`: the file is needed to look up other files. It must then be the copy that the client received.
        """
        place = context.family.classify(path)
        match place.role:
            case Role.ROOT:
                current = await self._root(context, path, seen=for_lookup)
                return current.stored(path) if isinstance(current, _Current) else current
            case Role.SIGNATURE if place.roots:
                return await self._signature(context, path, place.roots[0])
            case Role.SIGNATURE if (signed := context.family.signed_file(path)) is not None:
                return await self._signature_of_unlisted(context, path, signed)
            case _:
                return await self._unlisted(context, path)

    def before(self, archive: Archive, root: str) -> list[str]:
        """Return the digests of older roots whose by-hash names are still served."""
        state = self._states.of(archive, root)
        return [state.previous] if state is not None and state.previous else []

    def roots(self, archive: Archive) -> list[StoredFile]:
        """Return the current roots of the archive, followed by their predecessors."""
        roots = self._states.roots(archive)
        current = [_Current(root, is_stale=False).stored(path) for path, root in roots]
        return current + [
            replace(stored, digest=root.previous)
            for stored, (_, root) in zip(current, roots, strict=True)
            if root.previous
        ]

    async def close(self) -> None:
        """Stop all revalidations."""
        for revalidation in list(self._revalidations.values()):
            await revalidation.cancel()
        tasks = [renewal.task for renewal in self._renewals.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- serving

    async def _root(self, context: RequestContext, path: str, *, seen: bool) -> _Current | Refusal | NotStored | None:
        key = (context.archive.name, path)
        state = self._states.of(context.archive, path)
        if state is not None and self._is_current_enough(key, state, seen=seen):
            is_outdated = self._failed.get(key) is not None or key in self._revalidator.adopting
            return _Current(state, is_stale=self._offline or is_outdated)
        if self._offline:
            return refusals.missing_offline(fetch_now(context.archive, path, context.family))
        revalidation = self._revalidations.get(key)
        if revalidation is None or revalidation.is_abandoned:
            work = self._revalidate(context, path, key)
            revalidation = self._revalidations[key] = SharedTask(work, self._revalidations, key, self._clock)
        is_done = False
        while not is_done and (left := context.deadline - self._clock.monotonic()) > 0:
            if state is not None and self._revalidator.is_held_up(context, path):
                break
            is_done = await revalidation.wait(min(left, POLL_ROOT_SECONDS))
        if is_done:
            outcome = revalidation.result()
        else:
            revalidation.keep()
            outcome = refusals.still_fetching()
        if isinstance(outcome, LiveState):
            return _Current(outcome, is_stale=False)
        if isinstance(outcome, Refusal) and outcome.is_absence:
            return None
        return outcome if state is None else _Current(state, is_stale=True)

    async def _revalidate(
        self, context: RequestContext, path: str, key: tuple[str, str]
    ) -> LiveState | NotStored | Refusal:
        outcome = await self._revalidator.observe(context, path)
        if isinstance(outcome, Refusal) and not outcome.is_absence:
            self._failed.put(key, self._clock.monotonic() + FRESH_SECONDS, SEEN_SECONDS)
        else:
            self._failed.drop(key)
        return outcome

    def _is_current_enough(self, key: tuple[str, str], state: LiveState, *, seen: bool) -> bool:
        """Return whether a root is served without revalidation.

        True if it was checked recently, or if a failed revalidation must not be repeated yet.
        """
        age = self._clock.now() - state.checked
        is_fresh = 0 <= age < (SEEN_SECONDS if seen else FRESH_SECONDS)
        return self._offline or is_fresh or self._clock.monotonic() < (self._failed.get(key) or 0.0)

    async def _signature(
        self, context: RequestContext, path: str, root: str
    ) -> StoredFile | Refusal | NotStored | None:
        """Return the signature of the root that the client received."""
        current = await self._root(context, root, seen=True)
        if isinstance(current, NotStored):
            return await self._unlisted(context, path)
        if not isinstance(current, _Current):
            return current
        signature = current.state.signature
        return (
            None if signature is None else StoredFile(path, signature.digest, signature.size, Proof.NONE, current.notes)
        )

    async def _signature_of_unlisted(
        self, context: RequestContext, path: str, signed: str
    ) -> StoredFile | Refusal | NotStored | None:
        """Return the signature of an unlisted file, unless the file has changed since it was served.

        Without an ETag the file would have to be downloaded again, so it is not compared.
        """
        state = self._states.of(context.archive, signed)
        signature = await self._unlisted(context, path)
        is_served = state is not None and 0 <= self._clock.now() - state.checked < SEEN_SECONDS
        if state is None or not is_served or not state.file.etag or self._offline:
            return signature
        if isinstance(signature, StoredFile):
            now = await self._unlisted(context, signed)
            if not isinstance(now, StoredFile) or now.digest != state.file.digest:
                return refusals.torn_pair(fetch_now(context.archive, signed, context.family))
        return signature

    async def _unlisted(self, context: RequestContext, path: str) -> StoredFile | Refusal | NotStored | None:
        """Revalidate a file that no index lists; a new one may be streamed while it downloads."""
        step, state = fetch_now(context.archive, path, context.family), self._states.of(context.archive, path)
        if self._offline:
            missing = refusals.missing_offline(step)
            return missing if state is None else _Current(state, is_stale=True).stored(path)
        if not step.sources:
            return refusals.no_upstream(step)
        renewal = self._renewals.get(step.key)
        if renewal is None or renewal.flight.is_stopped:
            renewal = self._renewals[step.key] = self._renew(context, step, state)
        outcome = await renewal.outcome(context, self._clock)
        if isinstance(outcome, LiveState):
            return _Current(outcome, is_stale=False).stored(path)
        if outcome is None or isinstance(outcome, NotStored):
            return outcome
        return outcome if state is None else _Current(state, is_stale=True).stored(path)

    def _renew(self, context: RequestContext, step: Fetch, state: LiveState | None) -> _Renewal:
        validators = Meta() if state is None else state.file.validators
        flight, _ = self._downloads.join(step, context, None, validators=validators)
        task = asyncio.create_task(self._note(flight, context.archive, state))
        renewal = _Renewal(flight, task)

        def forget(_task: asyncio.Task[LiveState | Refusal | NotStored | None]) -> None:
            if self._renewals.get(step.key) is renewal:
                del self._renewals[step.key]

        task.add_done_callback(forget)
        return renewal

    async def _note(
        self, flight: Flight, archive: Archive, state: LiveState | None
    ) -> LiveState | Refusal | NotStored | None:
        """Store the state of an unlisted file after its download, and observe it if the past is known by that only."""
        path = flight.step.path
        found = await self._found(flight, archive, state)
        if flight.context.history.is_observed and flight.context.family.classify(path).is_unlisted:
            at = self._clock.now()
            if isinstance(found, LiveState):
                await self._observations.note_beside(archive, path, _Current(found, is_stale=False).stored(path), at)
            elif found is None:
                await self._observations.note_beside(archive, path, None, at)
        return found

    async def _found(
        self, flight: Flight, archive: Archive, state: LiveState | None
    ) -> LiveState | Refusal | NotStored | None:
        path = flight.step.path
        match outcome := await flight.ended():
            case Stored(is_in_memory=True):
                return NotStored()
            case Stored():
                state = LiveState(LiveCopy.of(outcome), int(outcome.proof), self._clock.now())
            case Unchanged() if state is not None:
                state = replace(state, checked=self._clock.now())
            case Refusal():
                return None if outcome.is_absence else outcome
            case _:
                return await self._appears(archive, path, state) or refusals.still_fetching()
        await self._states.put(archive, path, state, is_root=False)
        return state

    async def _appears(self, archive: Archive, path: str, state: LiveState | None) -> LiveState | None:
        """Wait up to APPEAR_SECONDS for the state of a file that another process has downloaded.

        Return None if it does not appear.
        """
        end = self._clock.monotonic() + APPEAR_SECONDS
        while self._clock.monotonic() < end:
            after = self._states.of(archive, path)
            if after is not None and after != state:
                return after
            await self._clock.sleep(POLL_SECONDS)
        return None


@dataclass(frozen=True, eq=False, slots=True)
class _Renewal:
    """The revalidation of an unlisted file: its flight, and the task that stores its state."""

    flight: Flight
    task: asyncio.Task[LiveState | Refusal | NotStored | None]

    async def outcome(self, context: RequestContext, clock: Clock) -> LiveState | Refusal | NotStored | None:
        """Return the result by the deadline; for a streaming file, shortly after its first bytes."""
        flight, soon = self.flight, context.deadline
        with flight.reading(context):
            if not flight.step.whole and await flight.wait_started(context) is None:
                soon = min(soon, clock.monotonic() + FINISH_SECONDS)
            await self._wait(soon, clock)
            if not flight.is_receiving:  # every byte has arrived, and its record is being written
                await self._wait(context.deadline, clock)
        if self.task.done():
            return self.task.result()
        is_slow_index = flight.step.role is Role.INDEX and flight.is_receiving
        return (
            NotStored()
            if is_slow_index or (flight.is_receiving and not flight.step.whole)
            else flight.timeout_refusal()
        )

    async def _wait(self, deadline: float, clock: Clock) -> None:
        """Wait for the task until `deadline` (monotonic seconds), without cancelling it."""
        with contextlib.suppress(TimeoutError):
            async with clock.timeout(max(0.0, deadline - clock.monotonic())):
                await asyncio.wait({self.task})
