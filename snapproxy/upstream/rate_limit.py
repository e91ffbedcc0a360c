"""Turns at an upstream: who may ask it, when, and over how many connections at once.

The rules are `core.rate_limit`'s; this module waits by them. State is one row an upstream in the store, shared by all processes
of the machine and kept over restarts; connection slots are the store's too, freed by the kernel when a process dies. Within
a process clients go before background work, first come first served in each class; between processes it is whoever looks
first. What an answer means, and so which verdict a turn deserves, is `upstream.client`'s to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from snapproxy.base.clock import Clock
from snapproxy.core import rate_limit
from snapproxy.core.rate_limit import MIRROR, RatePolicy, RateState
from snapproxy.errors import UpstreamError
from snapproxy_storage import Slot, StorageFailure

SLOT_POLL = 0.1
"""Seconds between looks for a slot that another process holds: its release wakes nobody here."""

_log = logging.getLogger(__name__)


class RateStore(Protocol):
    """What of a catalog the pacer uses; `snapproxy_storage.Catalog` is one. The rows never expire."""

    def fact(self, key: str, now: int) -> Any | None: ...

    async def update_fact(self, key: str, change: Callable[[Any | None], Any]) -> Any: ...


class Slots(Protocol):
    """`snapproxy_storage.Slots` is one."""

    def take(self, name: str, count: int) -> Slot | None: ...


class CoolingDownError(UpstreamError):
    """No turn within the caller's patience; one is likely after `wait` seconds."""

    status = 503

    def __init__(self, upstream: str, wait: float) -> None:
        super().__init__(
            "upstream is being given a rest",
            why=f"{upstream} can be asked again in about {wait:.0f} seconds",
            hint="ask again then; what is already stored is served meanwhile",
        )
        self.wait = wait


class Permit:
    """Leave to send one request to `upstream`, until the `async with` that gave it ends.

    Tell the verdict as soon as it is known: others may be waiting for it. A later one (the body broke) may follow.
    """

    def __init__(self, limiter: RateLimiter, upstream: str, slot: Slot, cool_down_epoch: int) -> None:
        self.upstream = upstream
        self.slot = slot
        self.cool_down_epoch = cool_down_epoch
        self.is_judged = False
        self._limiter = limiter

    async def succeeded(self) -> None:
        """Tell that the upstream answered in good order, whatever it said."""
        self.is_judged = True
        await self._limiter.judge(self, lambda state: rate_limit.succeeded(state, cool_down_epoch=self.cool_down_epoch))

    async def throttled(self, retry_after: float | None = None) -> None:
        """Tell that it wants to be asked less: everybody waits (429, 503, 509)."""
        self.is_judged = True
        now, policy, jitter = self._limiter.now(), self._limiter.policy(self.upstream), self._limiter.jitter()
        await self._limiter.judge(
            self,
            lambda state: rate_limit.throttled(
                state, policy, now, cool_down_epoch=self.cool_down_epoch, retry_after=retry_after, jitter=jitter
            ),
            "wants to be asked less",
        )

    async def broken(self) -> None:
        """Tell that it, or the way to it, failed: everybody waits a little."""
        self.is_judged = True
        now, policy, jitter = self._limiter.now(), self._limiter.policy(self.upstream), self._limiter.jitter()
        await self._limiter.judge(
            self,
            lambda state: rate_limit.broken(state, policy, now, cool_down_epoch=self.cool_down_epoch, jitter=jitter),
            "cannot be reached or fails",
        )


class _Queue:
    """Who waits for one upstream. A ticket is an Event, set when its holder should look again."""

    def __init__(self) -> None:
        self.clients: deque[asyncio.Event] = deque()
        self.background: deque[asyncio.Event] = deque()

    @property
    def first(self) -> asyncio.Event | None:
        return next(iter(self.clients or self.background), None)

    def join(self, *, background: bool) -> asyncio.Event:
        ticket = asyncio.Event()
        (self.background if background else self.clients).append(ticket)
        return ticket

    def leave(self, ticket: asyncio.Event) -> None:
        (self.clients if ticket in self.clients else self.background).remove(ticket)
        self.nudge()

    def ahead_of(self, ticket: asyncio.Event) -> int:
        return [*self.clients, *self.background].index(ticket)

    def nudge(self) -> None:
        if self.first:
            self.first.set()


class RateLimiter:
    """Hands out turns. `upstream` is an authority, `host` or `host:port`; `policies` are by authority, else by host.

    `jitter` returns a number in [0, 1).
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store: RateStore,
        slots: Slots,
        policies: Mapping[str, RatePolicy],
        default: RatePolicy = MIRROR,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.jitter = jitter
        self._clock = clock
        self._store = store
        self._slots = slots
        self._policies = policies
        self._default = default
        self._lines: defaultdict[str, _Queue] = defaultdict(_Queue)
        self._unwritten: dict[str, RateState] = {}

    def now(self) -> float:
        """Return the time the pace is kept in."""
        return self._clock.time()

    def policy(self, upstream: str) -> RatePolicy:
        """Return the policy that holds for `upstream`."""
        host = re.sub(r":[0-9]+$", "", upstream)
        return self._policies.get(upstream) or self._policies.get(host) or self._default

    def estimate(self, upstream: str) -> float:
        """Return after how many seconds a client that asks now is likely to get its turn: a Retry-After."""
        return self._estimate(upstream, len(self._lines[upstream].clients))

    @asynccontextmanager
    async def turn(
        self, upstream: str, *, background: bool = False, patience: float | None = None
    ) -> AsyncIterator[Permit]:
        """Wait for the cool-down, the rate and a connection, then hold the connection for the block.

        `patience` bounds the wait in seconds (None: for ever): CoolingDownError at once when the wait is known to be longer,
        else when it ran out. A block that ends without a verdict counts as never asked.
        """
        turn = await self._wait_for_turn(upstream, background=background, patience=patience)
        try:
            yield turn
        finally:
            try:
                if not turn.is_judged:
                    await self._forgo(upstream, turn.cool_down_epoch)
            finally:
                turn.slot.release()
                self._lines[upstream].nudge()

    async def judge(self, turn: Permit, change: Callable[[RateState], RateState], what: str = "") -> None:
        """Write a turn's verdict down, if it changes anything, and wake who waits for it. `what` it did, in words for the log."""
        before = self._load(turn.upstream)
        if change(before) != before:
            after = await self._change(turn.upstream, change)
            if (rest := after.until - self.now()) > 0 and after.cool_down_epoch > before.cool_down_epoch:
                _log.warning("upstream %s %s: nothing is asked of it for %.0f s", turn.upstream, what, rest)
            self._lines[turn.upstream].nudge()

    async def _wait_for_turn(self, upstream: str, *, background: bool, patience: float | None) -> Permit:
        line = self._lines[upstream]
        deadline = None if patience is None else self._clock.monotonic() + patience
        ticket = line.join(background=background)
        try:
            while True:
                ticket.clear()
                wait = None
                if line.first is ticket:
                    got = await self._try(upstream)
                    if isinstance(got, Permit):
                        return got
                    wait = got
                if deadline is not None:
                    wait = self._within_patience(upstream, line.ahead_of(ticket), wait, deadline)
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(wait):
                        await ticket.wait()
        finally:
            line.leave(ticket)

    def _within_patience(self, upstream: str, ahead: int, wait: float | None, deadline: float) -> float:
        """Return `wait`, cut at the deadline; raise when that has passed, or is sure to pass before the cool-down ends."""
        left = deadline - self._clock.monotonic()
        if left <= 0 or self._load(upstream).until - self.now() > left:
            raise CoolingDownError(upstream, self._estimate(upstream, ahead))
        return left if wait is None else min(wait, left)

    def _estimate(self, upstream: str, ahead: int) -> float:
        policy = self.policy(upstream)
        _, wait = rate_limit.grant(self._load(upstream), policy, self.now())
        return wait + ahead / (policy.requests_per_second or float("inf"))

    async def _try(self, upstream: str) -> Permit | float:
        """Take a slot and a grant, both or neither; else return the seconds after which to look again."""
        policy = self.policy(upstream)
        _, wait = rate_limit.grant(self._load(upstream), policy, self.now())
        if wait:
            return wait
        slot = self._slots.take(f"upstream {upstream}", policy.connections)
        if slot is None:
            return SLOT_POLL
        try:
            state, wait = await self._grant(upstream, policy)
        except BaseException:
            slot.release()
            raise
        if wait:  # another process was quicker
            slot.release()
            return wait
        return Permit(self, upstream, slot, state.cool_down_epoch)

    async def _grant(self, upstream: str, policy: RatePolicy) -> tuple[RateState, float]:
        """Spend a token, or take the probe, atomically across processes. A calm upstream without a rate costs no write."""
        now, state = self.now(), self._load(upstream)
        if rate_limit.grant(state, policy, now) == (state, 0.0):
            return state, 0.0
        waits = [0.0]

        def spend(before: RateState) -> RateState:
            after, waits[0] = rate_limit.grant(before, policy, now)
            return after

        writing = asyncio.ensure_future(self._change(upstream, spend))
        try:
            return await asyncio.shield(writing), waits[0]
        except asyncio.CancelledError:
            # The write goes through without us. A token more or less is nothing, but a probe nobody sends would
            # hold everybody until its lease ends.
            await asyncio.wait({writing})
            if not waits[0] and writing.exception() is None:
                await self._forgo(upstream, writing.result().cool_down_epoch)
            raise

    async def _forgo(self, upstream: str, cool_down_epoch: int) -> None:
        if self._load(upstream).probe:
            await self._change(upstream, lambda state: rate_limit.forgone(state, cool_down_epoch=cool_down_epoch))
            self._lines[upstream].nudge()

    def _load(self, upstream: str) -> RateState:
        row = self._store.fact(_key(upstream), int(self.now()))
        return self._unwritten.get(upstream) or RateState.from_json(row)

    async def _change(self, upstream: str, change: Callable[[RateState], RateState]) -> RateState:
        """Change the row. A store that cannot write (a full disk) must not stop clients: this process then remembers alone."""

        def on_row(row: Any | None) -> dict[str, float]:
            return change(self._unwritten.get(upstream) or RateState.from_json(row)).to_json()

        try:
            state = RateState.from_json(await self._store.update_fact(_key(upstream), on_row))
        except StorageFailure as failure:
            if upstream not in self._unwritten:
                _log.warning("the pace of %s is kept in memory only: %s", upstream, failure)
            self._unwritten[upstream] = state = change(self._load(upstream))
        else:
            self._unwritten.pop(upstream, None)
        return state


def _key(upstream: str) -> str:
    return f"pace/{upstream}"
