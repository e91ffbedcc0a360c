"""Asks upstream whether a live root is still what it was, and adopts the new one with all that belongs to it.

A root without a signature of its own is one pair with the detached signature beside it: both are taken together or not at all, so that
a mirror caught in the middle of its own update is not believed. One process of the machine asks at a time.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Proof, Refusal, Resolved
from snapproxy.core.plan_model import Fetch, NotStored, StoredFile
from snapproxy.core.sources import fetch_now
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import Stored, Unchanged
from snapproxy.live.adopt import SetAdopter
from snapproxy.live.observations import Observations
from snapproxy.live.state import LiveCopy, LiveState, LiveStates
from snapproxy.trust.roots import RootVerifier
from snapproxy_storage import Meta, Slot, Slots, StorageFailure

log = logging.getLogger(__name__)

HELD_UP_SECONDS = 1.5
"""An upstream that rests for longer has failed more than once."""

POLL_SECONDS = 0.1
"""How often a root that another process confirms is looked at."""


class Revalidator:
    """Confirms roots. `adopting` holds (archive, path) of those whose successor has come and cannot be served yet."""

    def __init__(
        self,
        *,
        standings: LiveStates,
        successors: SetAdopter,
        slots: Slots,
        flights: Downloads,
        roots: RootVerifier,
        observations: Observations,
        clock: Clock,
    ) -> None:
        self._observations = observations
        self._standings = standings
        self._successors = successors
        self._slots = slots
        self._flights = flights
        self._roots = roots
        self._clock = clock
        self.adopting: set[tuple[str, str]] = set()

    async def observe(self, context: RequestContext, path: str) -> LiveState | NotStored | Refusal:
        """Confirm the root at `path` for a client, and note that it was seen so."""
        found = await self.confirm(context, path, self._standings.of(context.archive, path))
        if isinstance(found, LiveState):
            await self._observations.note(
                context.archive, context.family, found.seen(path, context.family), found.checked
            )
        return found

    async def confirm(
        self, context: RequestContext, path: str, seen: LiveState | None
    ) -> LiveState | NotStored | Refusal:
        """Return the root at `path` as it stands now, where `seen` stood; Arriving when the full disk cannot keep it."""
        step = fetch_now(context.archive, path, context.family)
        if not step.sources:
            return refusals.no_upstream(step)
        try:
            turn = await self._turn(context, path, seen)
            if isinstance(turn, LiveState):
                return turn
            try:
                return await self._ask(context, step)
            finally:
                turn.release()
        except StorageFailure as failure:
            log.exception("a root could not be confirmed")
            return refusals.broken_store(whole=True, why=str(failure))

    def is_held_up(self, context: RequestContext, path: str) -> bool:
        """Whether every upstream of a root rests for longer than who waits for it would want to."""
        return self._flights.expected_wait(fetch_now(context.archive, path, context.family)) > HELD_UP_SECONDS

    async def _turn(self, context: RequestContext, path: str, seen: LiveState | None) -> Slot | LiveState:
        """Wait until no other process asks; return what one has found meanwhile, else leave to ask."""
        while True:
            slot = self._slots.take(f"live {context.archive.name}/{path}", 1)
            standing = self._standings.of(context.archive, path)
            if standing is not None and standing != seen:
                if slot is not None:
                    slot.release()
                return standing
            if slot is not None:
                return slot
            await self._clock.sleep(POLL_SECONDS)

    async def _ask(self, context: RequestContext, step: Fetch) -> LiveState | NotStored | Refusal:
        standing = self._standings.of(context.archive, step.path)
        pair = _Pair(self._flights, context, None if standing is None else standing.signature)
        check = self._roots.check_for(step, context, pair.obtain)
        validators = Meta() if standing is None else standing.file.validators
        flight, _ = self._flights.join(step, context, check, validators=validators)
        landed = await flight.wait_outcome(float("inf"))
        match landed:
            case Stored(is_in_memory=True):
                return NotStored()
            case Stored() if standing is None or landed.digest != standing.file.digest:
                return await self._adopt(context, step, standing, landed, pair)
            case Stored() | Unchanged() if standing is not None:
                file = LiveCopy.of(landed) if isinstance(landed, Stored) else standing.file
                return await self._keep(context, step, replace(standing, file=file, checked=self._clock.now()), pair)
            case Refusal():
                if landed.is_absence:
                    await self._standings.drop(context.archive, step.path)
                return landed
            case _:
                return refusals.still_fetching()

    async def _adopt(
        self, context: RequestContext, step: Fetch, old: LiveState | None, landed: Stored, pair: _Pair
    ) -> LiveState | Refusal:
        """Let the new root stand, once it is here with its signature and the successors of the old one's indexes."""
        checked = self._clock.now()  # later, while its successors come, upstream may have gone on
        signature = await self._signature(context, step, pair)
        if isinstance(signature, Refusal):
            return signature
        key = (context.archive.name, step.path)
        if old is not None:
            self.adopting.add(key)
            try:
                if not await self._successors.bring(context, step.path, old.file.digest, landed.digest):
                    return refusals.still_fetching()
            finally:
                self.adopting.discard(key)
        # What one root proves must not be said of the other: a set of another proof is not answered beside this one.
        previous = old.file.digest if old is not None and old.proof == landed.proof else ""
        new = LiveState(LiveCopy.of(landed), int(landed.proof), checked, previous, signature)
        await self._standings.put(context.archive, step.path, new, is_root=True)
        return new

    async def _keep(self, context: RequestContext, step: Fetch, standing: LiveState, pair: _Pair) -> LiveState:
        """Let a root stand that has not changed, with the signature that was made anew for it if there is one."""
        signature = await self._signature(context, step, pair)
        if isinstance(signature, LiveCopy) and signature != standing.signature:
            proof = await self._roots.verify_stored(step, context, standing.file.digest, pair.obtain)
            if isinstance(proof, Proof):
                standing = replace(standing, signature=signature, proof=int(proof))
        await self._standings.put(context.archive, step.path, standing, is_root=True)
        return standing

    async def _signature(self, context: RequestContext, step: Fetch, pair: _Pair) -> LiveCopy | Refusal | None:
        path = context.family.signature(step.path)
        return None if path is None else await pair.signature(path)


class _Pair:
    """The detached signature beside one root, asked for once however often it is wanted."""

    def __init__(self, flights: Downloads, context: RequestContext, known: LiveCopy | None) -> None:
        self._flights = flights
        self._asking = context
        self._known = known
        self._brought: list[LiveCopy | Refusal | None] = []

    async def obtain(self, _asking: RequestContext, _resolved: Resolved, path: str) -> StoredFile | Refusal | None:
        """Return the signature as the check of its root wants it (`roots.Obtain`)."""
        signature = await self.signature(path)
        return (
            StoredFile(path, signature.digest, signature.size, Proof.NONE)
            if isinstance(signature, LiveCopy)
            else signature
        )

    async def signature(self, path: str) -> LiveCopy | Refusal | None:
        """Return the signature that upstream has now, None when it has none."""
        if not self._brought:
            self._brought.append(await self._bring(path))
        return self._brought[0]

    async def _bring(self, path: str) -> LiveCopy | Refusal | None:
        step = fetch_now(self._asking.archive, path, self._asking.family)
        validators = Meta() if self._known is None else self._known.validators
        flight, _ = self._flights.join(step, self._asking, None, validators=validators)
        landed = await flight.wait_outcome(float("inf"))
        match landed:
            case Unchanged():
                return self._known
            case Stored(is_in_memory=False):
                return LiveCopy.of(landed)
            case Refusal():
                return None if landed.is_absence else landed
            case _:
                return refusals.disk_full()
