"""Revalidate a live root (RFC 9111).

Send upstream a conditional request, and adopt the successor of the root together with its indexes.

A root with a detached signature is one pair with it: both are adopted together or not at all, so that a mirror in the
middle of its own update is not used. A signature that was checked belongs to its root. Otherwise the root is requested
again after the signature: if it has changed, or the signature is that of the root before it, the two may belong to two
states, and both are requested again. One process of the machine revalidates a root at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Instant, Proof, Refusal, Resolved
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

COOLING_DOWN_SECONDS = 1.5
"""A cool-down longer than this follows more than one failure, and a stale root is served without waiting. In seconds.
"""

POLL_SECONDS = 0.1
"""Poll interval in seconds while another process revalidates the same root."""

PAIR_TRIES = 3
PAIR_PAUSE_SECONDS = 0.5
"""Maximum number of attempts to get a root and a signature of one state, and the seconds between two of them."""

SAME_UPDATE_SECONDS = 10
"""Maximum seconds between the requests of one client's update for two forms of a root."""


class Revalidator:
    """Revalidates roots.

    `adopting` has the (archive, path) of each root whose successor is being adopted and cannot be served yet.
    """

    def __init__(
        self,
        *,
        states: LiveStates,
        adopter: SetAdopter,
        slots: Slots,
        downloads: Downloads,
        roots: RootVerifier,
        observations: Observations,
        clock: Clock,
    ) -> None:
        self._observations = observations
        self._states = states
        self._adopter = adopter
        self._slots = slots
        self._downloads = downloads
        self._roots = roots
        self._clock = clock
        self.adopting: set[tuple[str, str]] = set()

    async def observe(self, context: RequestContext, path: str) -> LiveState | NotStored | Refusal:
        """Revalidate the root at `path` for a client, and record it as an observation."""
        found = await self.revalidate(context, path, self._states.of(context.archive, path))
        if isinstance(found, LiveState):
            await self._observations.note(
                context.archive, context.family, found.seen(path, context.family), found.checked
            )
            forms = context.family.root_forms(path)
            absences = self._observe_absences(context, forms[: forms.index(path)], found.checked)
            self._downloads.run_detached(absences)
        return found

    async def _observe_absences(self, context: RequestContext, forms: Sequence[str], at: Instant) -> None:
        """Record which of the forms that clients request before a root, observed at `at`, upstream lacks.

        Only the 404 of a form that was requested shortly before counts. An older one is requested again: two equal
        answers around `at` are valid for the time in between.
        """
        for form in forms:
            since = await self._downloads.absent_since(fetch_now(context.archive, form, context.family))
            if since is None:
                continue
            is_same_update = at - since <= SAME_UPDATE_SECONDS
            await self._observations.note_absence(context.archive, form, at if is_same_update else since)
            if not is_same_update:
                state = self._states.of(context.archive, form)
                later = await self.revalidate(replace(context, background=True), form, state, anew=True)
                if isinstance(later, Refusal) and later.is_absence:
                    await self._observations.note_absence(context.archive, form, self._clock.now())

    async def revalidate(
        self, context: RequestContext, path: str, seen: LiveState | None, *, anew: bool = False
    ) -> LiveState | NotStored | Refusal:
        """Return the current state of the root at `path`, whose known state is `seen`.

        NotStored if the disk is full. `anew`: a recent 404 of the root or its signature does not count.
        """
        step = fetch_now(context.archive, path, context.family)
        if not step.sources:
            return refusals.no_upstream(step)
        try:
            if anew:
                await self._downloads.forget_absence(step)
            turn = await self._turn(context, path, seen)
            if isinstance(turn, LiveState):
                return turn
            try:
                return await self._ask(context, step, anew=anew)
            finally:
                turn.release()
        except StorageFailure as failure:
            return refusals.of_store(failure, whole=True)

    def is_held_up(self, context: RequestContext, path: str) -> bool:
        """Return whether all upstreams of a root are cooling down so long that a client should get the stale root."""
        return self._downloads.expected_wait(fetch_now(context.archive, path, context.family)) > COOLING_DOWN_SECONDS

    async def _turn(self, context: RequestContext, path: str, seen: LiveState | None) -> Slot | LiveState:
        """Wait until no other process revalidates the root.

        Return its result if there is a new one, otherwise the slot.
        """
        while True:
            slot = self._slots.take(f"live {context.archive.name}/{path}", 1)
            state = self._states.of(context.archive, path)
            if state is not None and state != seen:
                if slot is not None:
                    slot.release()
                return state
            if slot is not None:
                return slot
            await self._clock.sleep(POLL_SECONDS)

    async def _ask(self, context: RequestContext, step: Fetch, *, anew: bool) -> LiveState | NotStored | Refusal:
        """Request the root and its signature until both belong to one state."""
        outcome = await self._ask_once(context, step, anew=anew)
        for _ in range(1, PAIR_TRIES):
            if not isinstance(outcome, _Torn):
                break
            await self._clock.sleep(PAIR_PAUSE_SECONDS)
            self._downloads.forget_failure(step)
            outcome = await self._ask_once(context, step, anew=True)
        return outcome.refusal if isinstance(outcome, _Torn) else outcome

    async def _ask_once(
        self, context: RequestContext, step: Fetch, *, anew: bool
    ) -> LiveState | NotStored | Refusal | _Torn:
        state = self._states.of(context.archive, step.path)
        pair = _Pair(self._downloads, context, None if state is None else state.signature, anew=anew)
        check = self._roots.check_for(step, context, pair.obtain)
        validators = Meta() if state is None else state.file.validators
        flight, _ = self._downloads.join(step, context, check, validators=validators)
        outcome = await flight.wait_outcome(context, float("inf"))
        match outcome:
            case Stored(is_in_memory=True):
                return NotStored()
            case Stored() if state is None or outcome.digest != state.file.digest:
                return await self._adopt(context, step, state, outcome, pair)
            case Stored() | Unchanged() if state is not None:
                file = LiveCopy.of(outcome) if isinstance(outcome, Stored) else state.file
                return await self._keep(context, step, replace(state, file=file, checked=self._clock.now()), pair)
            case Refusal():
                if outcome.is_absence:
                    await self._states.drop(context.archive, step.path)
                return _Torn(outcome) if pair.is_signed else outcome
            case _:
                return refusals.still_fetching()

    async def _adopt(
        self, context: RequestContext, step: Fetch, old: LiveState | None, outcome: Stored, pair: _Pair
    ) -> LiveState | Refusal | _Torn:
        """Adopt a new root once its signature and the successors of the old root's indexes are stored."""
        checked = self._clock.now()  # now, because upstream may publish again while the successors download
        signature = await self._signature(context, step, pair, is_new=True)
        if isinstance(signature, Refusal):
            return signature
        is_checked = outcome.proof is Proof.GPG
        if signature is not None and not is_checked:
            is_of_old = old is not None and old.signature is not None and old.signature.digest == signature.digest
            if is_of_old or not await self._is_current(context, step, LiveCopy.of(outcome)):
                return _Torn(refusals.torn_pair(step))
        key = (context.archive.name, step.path)
        if old is not None:
            self.adopting.add(key)
            try:
                if not await self._adopter.download_successors(context, step.path, old.file.digest, outcome.digest):
                    return refusals.still_fetching()
            finally:
                self.adopting.discard(key)
        # By-hash names of a root with another proof are not served together with the new root: its proof is not valid
        # for them.
        previous = old.file.digest if old is not None and old.proof == outcome.proof else ""
        date = await self._roots.date(context, outcome.digest)
        new = LiveState(LiveCopy.of(outcome), int(outcome.proof), checked, previous, signature, date)
        await self._states.put(context.archive, step.path, new, is_root=True)
        return new

    async def _is_current(self, context: RequestContext, step: Fetch, copy: LiveCopy) -> bool:
        """Return whether upstream still has these bytes of the root."""
        flight, _ = self._downloads.join(step, context, None, validators=copy.validators)
        match await flight.wait_outcome(context, float("inf")):
            case Unchanged():
                return True
            case Stored(digest=digest):
                return digest == copy.digest
        return False

    async def _keep(self, context: RequestContext, step: Fetch, state: LiveState, pair: _Pair) -> LiveState | _Torn:
        """Keep a root that has not changed, with its new signature if it was signed again."""
        signature = await self._signature(context, step, pair, is_new=False)
        if isinstance(signature, LiveCopy) and signature != state.signature:
            proof = await self._roots.verify_stored(step, context, state.file.digest, pair.obtain)
            if isinstance(proof, Proof):
                if proof is not Proof.GPG and not await self._is_current(context, step, state.file):
                    return _Torn(refusals.torn_pair(step))
                state = replace(state, signature=signature, proof=int(proof))
        await self._states.put(context.archive, step.path, state, is_root=True)
        return state

    async def _signature(
        self, context: RequestContext, step: Fetch, pair: _Pair, *, is_new: bool
    ) -> LiveCopy | Refusal | None:
        path = context.family.signature(step.path)
        return None if path is None else await pair.signature(path, is_new=is_new)


@dataclass(frozen=True, slots=True)
class _Torn:
    """A root and a signature that may belong to two states. `refusal`: the reason if no further attempt is made."""

    refusal: Refusal


class _Pair:
    """A root's detached signature, requested once for any number of uses.

    `anew`: a recent 404 does not count. It does not count for a root that has just been downloaded either.
    """

    def __init__(self, downloads: Downloads, context: RequestContext, known: LiveCopy | None, *, anew: bool) -> None:
        self._downloads = downloads
        self._asking = context
        self._known = known
        self._anew = anew
        self._downloaded: list[LiveCopy | Refusal | None] = []

    @property
    def is_signed(self) -> bool:
        """Whether a signature was downloaded."""
        return any(isinstance(each, LiveCopy) for each in self._downloaded)

    async def obtain(self, _asking: RequestContext, _resolved: Resolved, path: str) -> StoredFile | Refusal | None:
        """Return the signature in the form that the check of its root requires (`roots.Obtain`)."""
        signature = await self.signature(path, is_new=True)
        return (
            StoredFile(path, signature.digest, signature.size, Proof.NONE)
            if isinstance(signature, LiveCopy)
            else signature
        )

    async def signature(self, path: str, *, is_new: bool) -> LiveCopy | Refusal | None:
        """Return the current signature of upstream, None if it has no signature. `is_new`: its root is."""
        if not self._downloaded:
            self._downloaded.append(await self._download(path, anew=is_new or self._anew))
        return self._downloaded[0]

    async def _download(self, path: str, *, anew: bool) -> LiveCopy | Refusal | None:
        step = fetch_now(self._asking.archive, path, self._asking.family)
        if anew:
            await self._downloads.forget_absence(step)
        validators = Meta() if self._known is None else self._known.validators
        flight, _ = self._downloads.join(step, self._asking, None, validators=validators)
        outcome = await flight.wait_outcome(self._asking, float("inf"))
        match outcome:
            case Unchanged():
                return self._known
            case Stored(is_in_memory=False):
                return LiveCopy.of(outcome)
            case Refusal():
                return None if outcome.is_absence else outcome
            case _:
                return refusals.disk_full()
