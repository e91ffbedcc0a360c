"""Asks upstream whether a live root is still what it was, and adopts the new one with all that belongs to it.

A root without a signature of its own is one pair with the detached signature beside it: both are taken together or not at all, so that
a mirror caught in the middle of its own update is not believed. One process of the machine asks at a time.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from snapproxy.core.model import Proof, Refusal, Resolved
from snapproxy.core.plan import fetch_now
from snapproxy.core.steps import Arriving, Fetch, Held
from snapproxy.shell import refusals
from snapproxy.shell.asking import Asking
from snapproxy.shell.clock import Clock
from snapproxy.shell.flights import Flights
from snapproxy.shell.landings import Landed, Unchanged
from snapproxy.shell.observations import Observations
from snapproxy.shell.roots import Roots
from snapproxy.shell.standing import Copy, Standing, Standings
from snapproxy.shell.successors import Successors
from storage import Meta, Slot, Slots, StorageFailure

log = logging.getLogger(__name__)

HELD_UP_SECONDS = 1.5
"""An upstream that rests for longer has failed more than once."""

POLL_SECONDS = 0.1
"""How often a root that another process confirms is looked at."""


class Confirming:
    """Confirms roots. `adopting` holds (archive, path) of those whose successor has come and cannot be served yet."""

    def __init__(
        self,
        *,
        standings: Standings,
        successors: Successors,
        slots: Slots,
        flights: Flights,
        roots: Roots,
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

    async def observe(self, asking: Asking, path: str) -> Standing | Arriving | Refusal:
        """Confirm the root at `path` for a client, and note that it was seen so."""
        found = await self.confirm(asking, path, self._standings.of(asking.row, path))
        if isinstance(found, Standing):
            await self._observations.note(asking.row, asking.family, found.seen(path, asking.family), found.checked)
        return found

    async def confirm(self, asking: Asking, path: str, seen: Standing | None) -> Standing | Arriving | Refusal:
        """Return the root at `path` as it stands now, where `seen` stood; Arriving when the full disk cannot keep it."""
        step = fetch_now(asking.row, path, asking.family)
        if not step.sources:
            return refusals.no_upstream(step)
        try:
            turn = await self._turn(asking, path, seen)
            if isinstance(turn, Standing):
                return turn
            try:
                return await self._ask(asking, step)
            finally:
                turn.release()
        except StorageFailure as failure:
            log.exception("a root could not be confirmed")
            return refusals.broken_store(whole=True, why=str(failure))

    def is_held_up(self, asking: Asking, path: str) -> bool:
        """Whether every upstream of a root rests for longer than who waits for it would want to."""
        return self._flights.expected_wait(fetch_now(asking.row, path, asking.family)) > HELD_UP_SECONDS

    async def _turn(self, asking: Asking, path: str, seen: Standing | None) -> Slot | Standing:
        """Wait until no other process asks; return what one has found meanwhile, else leave to ask."""
        while True:
            slot = self._slots.take(f"live {asking.row.name}/{path}", 1)
            standing = self._standings.of(asking.row, path)
            if standing is not None and standing != seen:
                if slot is not None:
                    slot.release()
                return standing
            if slot is not None:
                return slot
            await self._clock.sleep(POLL_SECONDS)

    async def _ask(self, asking: Asking, step: Fetch) -> Standing | Arriving | Refusal:
        standing = self._standings.of(asking.row, step.path)
        pair = _Pair(self._flights, asking, None if standing is None else standing.signature)
        judge = self._roots.judge(step, asking, pair.obtain)
        validators = Meta() if standing is None else standing.file.validators
        flight, _ = self._flights.join(step, asking, judge, validators=validators)
        landed = await flight.land(float("inf"))
        match landed:
            case Landed(is_adrift=True):
                return Arriving()
            case Landed() if standing is None or landed.digest != standing.file.digest:
                return await self._adopt(asking, step, standing, landed, pair)
            case Landed() | Unchanged() if standing is not None:
                file = Copy.of(landed) if isinstance(landed, Landed) else standing.file
                return await self._keep(asking, step, replace(standing, file=file, checked=self._clock.now()), pair)
            case Refusal():
                if landed.is_absence:
                    await self._standings.drop(asking.row, step.path)
                return landed
            case _:
                return refusals.still_fetching()

    async def _adopt(
        self, asking: Asking, step: Fetch, old: Standing | None, landed: Landed, pair: _Pair
    ) -> Standing | Refusal:
        """Let the new root stand, once it is here with its signature and the successors of the old one's indexes."""
        checked = self._clock.now()  # later, while its successors come, upstream may have gone on
        signature = await self._signature(asking, step, pair)
        if isinstance(signature, Refusal):
            return signature
        key = (asking.row.name, step.path)
        if old is not None:
            self.adopting.add(key)
            try:
                if not await self._successors.bring(asking, step.path, old.file.digest, landed.digest):
                    return refusals.still_fetching()
            finally:
                self.adopting.discard(key)
        # What one root proves must not be said of the other: a set of another proof is not answered beside this one.
        previous = old.file.digest if old is not None and old.proof == landed.proof else ""
        new = Standing(Copy.of(landed), int(landed.proof), checked, previous, signature)
        await self._standings.put(asking.row, step.path, new, is_root=True)
        return new

    async def _keep(self, asking: Asking, step: Fetch, standing: Standing, pair: _Pair) -> Standing:
        """Let a root stand that has not changed, with the signature that was made anew for it if there is one."""
        signature = await self._signature(asking, step, pair)
        if isinstance(signature, Copy) and signature != standing.signature:
            proof = await self._roots.verdict(step, asking, standing.file.digest, pair.obtain)
            if isinstance(proof, Proof):
                standing = replace(standing, signature=signature, proof=int(proof))
        await self._standings.put(asking.row, step.path, standing, is_root=True)
        return standing

    async def _signature(self, asking: Asking, step: Fetch, pair: _Pair) -> Copy | Refusal | None:
        path = asking.family.signature(step.path)
        return None if path is None else await pair.signature(path)


class _Pair:
    """The detached signature beside one root, asked for once however often it is wanted."""

    def __init__(self, flights: Flights, asking: Asking, known: Copy | None) -> None:
        self._flights = flights
        self._asking = asking
        self._known = known
        self._brought: list[Copy | Refusal | None] = []

    async def obtain(self, _asking: Asking, _resolved: Resolved, path: str) -> Held | Refusal | None:
        """Return the signature as the judge of its root wants it (`roots.Obtain`)."""
        signature = await self.signature(path)
        return Held(path, signature.digest, signature.size, Proof.NONE) if isinstance(signature, Copy) else signature

    async def signature(self, path: str) -> Copy | Refusal | None:
        """Return the signature that upstream has now, None when it has none."""
        if not self._brought:
            self._brought.append(await self._bring(path))
        return self._brought[0]

    async def _bring(self, path: str) -> Copy | Refusal | None:
        step = fetch_now(self._asking.row, path, self._asking.family)
        validators = Meta() if self._known is None else self._known.validators
        flight, _ = self._flights.join(step, self._asking, None, validators=validators)
        landed = await flight.land(float("inf"))
        match landed:
            case Unchanged():
                return self._known
            case Landed(is_adrift=False):
                return Copy.of(landed)
            case Refusal():
                return None if landed.is_absence else landed
            case _:
                return refusals.disk_full()
