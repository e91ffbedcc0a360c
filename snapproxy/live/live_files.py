"""The present: what each archive looks like now, revalidated, adopted set by set, and served stale when nobody answers.

A root is *adopted* only when the successor of every index that the store holds of the old set is here and verified (rule 7): until then
the old set is served whole, and said so. A root is confirmed when a client asks for it, not when something it vouches for is asked for:
the index and the signature a client asks for next are those of the root it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Archive, Proof, Refusal, Role
from snapproxy.core.plan_model import Fetch, NotStored, StoredFile
from snapproxy.core.sources import fetch_now
from snapproxy.core.time_spec import format_instant
from snapproxy.download.downloads import Downloads
from snapproxy.download.flight import Flight
from snapproxy.download.outcome import Stored, Unchanged
from snapproxy.live.revalidate import Revalidator
from snapproxy.live.state import LiveCopy, LiveState, LiveStates
from snapproxy_storage import Meta

FRESH_SECONDS = 10
"""A root this young is not asked for again: one client's update asks for the same root several times."""

SEEN_SECONDS = 600
"""How long the client who was given a root may take to ask for what it vouches for, before the root is confirmed once more."""

SETTLING_SECONDS = 0.05
"""How long a file that streams may take to land and be answered from the store."""

LOOK_SECONDS = 0.5
"""How often who waits for a root looks whether upstream rests, so that a stale one is given at once."""

APPEAR_SECONDS = 1.0
"""How long another process may take to write down what it has brought."""

POLL_SECONDS = 0.05
"""How often that is looked for."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands, as it is given to a client."""

    standing: LiveState
    is_stale: bool

    @property
    def notes(self) -> Mapping[str, str]:
        return {"X-Snapproxy-Stale": f"as of {format_instant(self.standing.checked)}"} if self.is_stale else {}

    def held(self, path: str) -> StoredFile:
        file = self.standing.file
        return StoredFile(path, file.digest, file.size, Proof(self.standing.proof), self.notes)


class LiveFiles:
    """Files of the present. Each root is confirmed once at a time on the machine, however many ask."""

    def __init__(
        self,
        *,
        standings: LiveStates,
        confirming: Revalidator,
        flights: Downloads,
        clock: Clock,
        offline: bool,
    ) -> None:
        self._standings = standings
        self._confirming = confirming
        self._flights = flights
        self._clock = clock
        self._offline = offline
        self._confirmations: dict[tuple[str, str], asyncio.Task[LiveState | NotStored | Refusal]] = {}
        self._renewals: dict[str, _Renewal] = {}
        self._behind: dict[tuple[str, str], float] = {}
        """Roots that could not be confirmed or adopted, and when (monotonic) to try again."""

    async def obtain(
        self, context: RequestContext, path: str, *, to_vouch: bool = False
    ) -> StoredFile | Refusal | NotStored | None:
        """Return the live file at `path`, fresh, or stale and marked so; None when the archive has no such file.

        `to_vouch`: it is wanted for what it says of another file, which must be what its client was told.
        """
        place = context.family.classify(path)
        match place.role:
            case Role.ROOT:
                given = await self._root(context, path, seen=to_vouch)
                return given.held(path) if isinstance(given, _Given) else given
            case Role.SIGNATURE if place.roots:
                return await self._signature(context, path, place.roots[0])
            case _:
                return await self._unpromised(context, path)

    def before(self, archive: Archive, root: str) -> list[str]:
        """Return the digests of roots whose by-hash names are still answered beside the current one's."""
        standing = self._standings.of(archive, root)
        return [standing.previous] if standing is not None and standing.previous else []

    def roots(self, archive: Archive) -> list[StoredFile]:
        """Return every root of the archive that stands, and after them those before each."""
        roots = self._standings.roots(archive)
        current = [_Given(root, is_stale=False).held(path) for path, root in roots]
        return current + [
            replace(held, digest=root.previous) for held, (_, root) in zip(current, roots, strict=True) if root.previous
        ]

    async def close(self) -> None:
        """Stop confirming."""
        tasks = [*self._confirmations.values(), *(renewal.task for renewal in self._renewals.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- giving -----------------------------------------------------------------------------------------------------------

    async def _root(self, context: RequestContext, path: str, *, seen: bool) -> _Given | Refusal | NotStored | None:
        key = (context.archive.name, path)
        standing = self._standings.of(context.archive, path)
        if standing is not None and self._is_good_enough(key, standing, seen=seen):
            is_behind = key in self._behind or key in self._confirming.adopting
            return _Given(standing, is_stale=self._offline or is_behind)
        if self._offline:
            return refusals.missing_offline(fetch_now(context.archive, path, context.family))
        confirmation = self._confirmations.get(key)
        if confirmation is None:
            confirmation = self._confirmations[key] = asyncio.create_task(self._confirm(context, path, key))
            confirmation.add_done_callback(lambda _: self._confirmations.pop(key, None))
        while not confirmation.done() and (left := context.deadline - self._clock.monotonic()) > 0:
            if standing is not None and self._confirming.is_held_up(context, path):
                break
            await _wait(confirmation, self._clock.monotonic() + min(left, LOOK_SECONDS), self._clock)
        outcome = confirmation.result() if confirmation.done() else refusals.still_fetching()
        if isinstance(outcome, LiveState):
            return _Given(outcome, is_stale=False)
        if isinstance(outcome, Refusal) and outcome.is_absence:
            return None
        return outcome if standing is None else _Given(standing, is_stale=True)

    async def _confirm(
        self, context: RequestContext, path: str, key: tuple[str, str]
    ) -> LiveState | NotStored | Refusal:
        outcome = await self._confirming.observe(context, path)
        if isinstance(outcome, Refusal) and not outcome.is_absence:
            self._behind[key] = self._clock.monotonic() + FRESH_SECONDS
        else:
            self._behind.pop(key, None)
        return outcome

    def _is_good_enough(self, key: tuple[str, str], standing: LiveState, *, seen: bool) -> bool:
        """Whether a root may be given as it stands: confirmed a moment ago, or not to be had any newer for a moment."""
        age = self._clock.now() - standing.checked
        is_fresh = 0 <= age < (SEEN_SECONDS if seen else FRESH_SECONDS)
        return self._offline or is_fresh or self._clock.monotonic() < self._behind.get(key, 0.0)

    async def _signature(
        self, context: RequestContext, path: str, root: str
    ) -> StoredFile | Refusal | NotStored | None:
        """Return the signature that belongs to the root its client was given."""
        given = await self._root(context, root, seen=True)
        if isinstance(given, NotStored):
            return await self._unpromised(context, path)
        if not isinstance(given, _Given):
            return given
        signature = given.standing.signature
        return (
            None if signature is None else StoredFile(path, signature.digest, signature.size, Proof.NONE, given.notes)
        )

    async def _unpromised(self, context: RequestContext, path: str) -> StoredFile | Refusal | NotStored | None:
        """Ask upstream whether a file that nothing vouches for is still what it was; one that streams is given as it arrives."""
        step, standing = fetch_now(context.archive, path, context.family), self._standings.of(context.archive, path)
        if self._offline:
            missing = refusals.missing_offline(step)
            return missing if standing is None else _Given(standing, is_stale=True).held(path)
        if not step.sources:
            return refusals.no_upstream(step)
        renewal = self._renewals.get(step.key)
        if renewal is None:
            renewal = self._renewals[step.key] = self._renew(context, step, standing)
        outcome = await renewal.outcome(context.deadline, self._clock)
        if isinstance(outcome, LiveState):
            return _Given(outcome, is_stale=False).held(path)
        if outcome is None or isinstance(outcome, NotStored):
            return outcome
        return outcome if standing is None else _Given(standing, is_stale=True).held(path)

    def _renew(self, context: RequestContext, step: Fetch, standing: LiveState | None) -> _Renewal:
        validators = Meta() if standing is None else standing.file.validators
        flight, _ = self._flights.join(step, context, None, validators=validators)
        task = asyncio.create_task(self._note(flight, context.archive, standing))
        task.add_done_callback(lambda _: self._renewals.pop(step.key))
        return _Renewal(flight, task)

    async def _note(
        self, flight: Flight, archive: Archive, standing: LiveState | None
    ) -> LiveState | Refusal | NotStored | None:
        """Write down what an unpromised file has become."""
        path = flight.step.path
        match landed := await flight.wait_outcome(float("inf")):
            case Stored(is_in_memory=True):
                return NotStored()
            case Stored():
                standing = LiveState(LiveCopy.of(landed), int(landed.proof), self._clock.now())
            case Unchanged() if standing is not None:
                standing = replace(standing, checked=self._clock.now())
            case Refusal():
                return None if landed.is_absence else landed
            case _:
                return await self._appears(archive, path, standing) or refusals.still_fetching()
        await self._standings.put(archive, path, standing, is_root=False)
        return standing

    async def _appears(self, archive: Archive, path: str, standing: LiveState | None) -> LiveState | None:
        """Wait for what another process has brought to be written down; not for ever, it may have met a failure."""
        end = self._clock.monotonic() + APPEAR_SECONDS
        while self._clock.monotonic() < end:
            after = self._standings.of(archive, path)
            if after is not None and after != standing:
                return after
            await self._clock.sleep(POLL_SECONDS)
        return None


@dataclass(frozen=True, slots=True)
class _Renewal:
    """An unpromised file on its way, and what becomes of it."""

    flight: Flight
    task: asyncio.Task[LiveState | Refusal | NotStored | None]

    async def outcome(self, deadline: float, clock: Clock) -> LiveState | Refusal | NotStored | None:
        """Return what has come by `deadline`; of a file that streams, not much later than its first bytes."""
        flight = self.flight
        if not flight.step.whole and await flight.wait_started(deadline) is None:
            deadline = min(deadline, clock.monotonic() + SETTLING_SECONDS)
        await _wait(self.task, deadline, clock)
        if self.task.done():
            return self.task.result()
        is_slow_index = flight.step.role is Role.INDEX and flight.is_receiving
        return (
            NotStored()
            if is_slow_index or (flight.is_receiving and not flight.step.whole)
            else flight.timeout_refusal()
        )


async def _wait(task: asyncio.Task[Any], deadline: float, clock: Clock) -> None:
    """Wait for a task, which goes on, until `deadline` (monotonic seconds)."""
    with contextlib.suppress(TimeoutError):
        async with clock.timeout(max(0.0, deadline - clock.monotonic())):
            await asyncio.wait({task})
