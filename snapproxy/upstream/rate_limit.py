"""Rate limiting of upstreams: which request may be sent, when, and over how many connections at the same time.

`core.rate_limit` decides; this module waits. The state of an upstream is one row in the store, shared by all processes
of the machine and kept over restarts. Connection slots are the store's as well; the kernel frees them when a process
dies. Within a process the requests of clients precede background work, and clients take turns (`upstream.fair_queue`);
between processes the first one that polls gets the permit. `upstream.client` classifies an answer, and reports it to
the permit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from snapproxy.base.clock import Clock
from snapproxy.core import rate_limit
from snapproxy.core.rate_limit import CLIENT, MIRROR, Demand, RatePolicy, RateState
from snapproxy.core.upstream_answer import Broken, CoolingDown, Fault, QueueFull
from snapproxy.errors import UpstreamError
from snapproxy.upstream.fair_queue import FairQueue, Ticket
from snapproxy_storage import Slot, Slots, StorageFailure

SLOT_POLL = 0.1
"""Seconds between polls for a slot that another process has taken: its release wakes no task of this process."""

RATE_FACTS = "pace/"
"""The beginning of the keys of the facts with the rates and cool-downs of upstreams."""

_log = logging.getLogger(__name__)


class RateStore(Protocol):
    """The part of `snapproxy_storage.Catalog` that the limiter uses. The rows never expire."""

    def fact(self, key: str, now: int) -> Any | None: ...

    async def update_fact(self, key: str, change: Callable[[Any | None], Any]) -> Any: ...


class NoPermitError(UpstreamError):
    """No permit within the caller's limit, or too many requests wait; `answer` has the reason and the likely wait."""

    status = 503

    def __init__(self, answer: CoolingDown | QueueFull) -> None:
        super().__init__("No request can be sent to the upstream now")
        self.answer = answer


class Permit:
    """The permission to send one request to `upstream`, until the `async with` that returned it ends.

    Report the result as soon as it is known: other requests may wait for it. A second report may follow (if the body
    breaks).
    """

    def __init__(self, limiter: RateLimiter, upstream: str, slot: Slot, cool_down_epoch: int, demand: Demand) -> None:
        self.demand = demand
        self.upstream = upstream
        self.slot = slot
        self.cool_down_epoch = cool_down_epoch
        self.is_reported = False
        self._limiter = limiter

    async def succeeded(self) -> None:
        """Report that the upstream answered, with any status."""
        self.is_reported = True
        await self._limiter.report(
            self, lambda state: rate_limit.succeeded(state, cool_down_epoch=self.cool_down_epoch)
        )

    async def throttled(self, status: int, retry_after: float | None = None) -> None:
        """Report that the upstream throttled the request (429, 503, 509): all requests to it wait."""
        self.is_reported = True
        now, policy, jitter = self._limiter.now(), self._limiter.policy(self.upstream), self._limiter.jitter()
        await self._limiter.report(
            self,
            lambda state: rate_limit.throttled(
                state,
                policy,
                now,
                cool_down_epoch=self.cool_down_epoch,
                retry_after=retry_after,
                jitter=jitter,
                cause=str(status),
            ),
            "throttled a request",
        )

    async def broken(self, answer: Broken) -> None:
        """Report that the upstream or the connection to it failed: all requests to it wait for a short time."""
        cause = str(answer.status) if answer.fault is Fault.STATUS else answer.fault.name
        self.is_reported = True
        now, policy, jitter = self._limiter.now(), self._limiter.policy(self.upstream), self._limiter.jitter()
        await self._limiter.report(
            self,
            lambda state: rate_limit.broken(
                state, policy, now, cool_down_epoch=self.cool_down_epoch, jitter=jitter, cause=cause
            ),
            "cannot be reached or fails",
        )


class RateLimiter:
    """Issues permits.

    `upstream` is an authority, `host` or `host:port`; `policies` are by authority, otherwise by host.

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
        self._queues: dict[str, FairQueue] = {}
        """The queues that are not empty."""
        self._granted: set[Permit] = set()
        self._unwritten: dict[str, RateState] = {}

    def now(self) -> float:
        """Return the time in the unit of the rows: wall-clock seconds."""
        return self._clock.time()

    def policy(self, upstream: str) -> RatePolicy:
        """Return the policy that applies to `upstream`."""
        host = re.sub(r":[0-9]+$", "", upstream)
        return self._policies.get(upstream) or self._policies.get(host) or self._default

    def estimate(self, upstream: str) -> float:
        """Return the seconds after which a client's request is likely to be sent: a Retry-After."""
        queue = self._queues.get(upstream)
        return self._estimate(upstream, queue.clients if queue is not None else 0)

    def cool_down(self, upstream: str) -> CoolingDown | None:
        """Return the current cool-down of `upstream` and its cause; None if requests may be sent to it."""
        state = self._load(upstream)
        left = state.until - self.now()
        return CoolingDown(upstream, left, state.cause) if left > 0 else None

    def state(self, upstream: str) -> RateState:
        """Return the recorded state of `upstream`."""
        return self._load(upstream)

    def queued(self, upstream: str) -> int:
        """Return the number of requests of this process that wait for `upstream`."""
        return len(self._queues.get(upstream, ()))

    @asynccontextmanager
    async def permit(
        self,
        upstream: str,
        *,
        demand: Demand = CLIENT,
        max_wait: float | None = None,
        max_cool_down: float | None = None,
    ) -> AsyncIterator[Permit]:
        """Wait for the cool-down, the rate and a connection slot, then hold the slot for the block.

        `max_wait` bounds the wait, `max_cool_down` the rest of a cool-down in which to wait, both in seconds (None:
        unbounded). NoPermitError is raised immediately if the wait is known to be longer, or if MAX_QUEUED requests
        wait and the client has its share of them; otherwise when the time is over, or a client with fewer requests
        needs the place. A block that reports no result counts as no request.
        """
        permit = await self._wait_for_permit(upstream, demand, max_wait=max_wait, max_cool_down=max_cool_down)
        self._granted.add(permit)
        try:
            yield permit
        finally:
            self._granted.discard(permit)
            try:
                if not permit.is_reported:
                    await self._forgo(upstream, permit.cool_down_epoch)
            finally:
                permit.slot.release()
                self._wake(upstream)

    async def report(self, permit: Permit, change: Callable[[RateState], RateState], event: str = "") -> None:
        """Write the result of a request, if it changes the state, and wake the next request. `event` is for the log."""
        before = self._load(permit.upstream)
        if change(before) != before:
            after = await self._change(permit.upstream, change)
            if (pause := after.until - self.now()) > 0 and after.cool_down_epoch > before.cool_down_epoch:
                _log.warning("upstream %s %s: no request is sent to it for %.0f s", permit.upstream, event, pause)
            self._wake(permit.upstream)

    def _wake(self, upstream: str) -> None:
        if queue := self._queues.get(upstream):
            queue.wake_first()

    async def _wait_for_permit(
        self, upstream: str, demand: Demand, *, max_wait: float | None, max_cool_down: float | None
    ) -> Permit:
        queue = self._queues.setdefault(upstream, FairQueue())
        ticket = queue.join(demand)
        if ticket is None:
            raise self._full(upstream, queue)
        deadline = None if max_wait is None else self._clock.monotonic() + max_wait
        try:
            while not queue.is_removed(ticket):
                ticket.turn.clear()
                wait = None
                if queue.first is ticket:
                    got = await self._try(upstream, demand)
                    if isinstance(got, Permit):
                        queue.granted(ticket)
                        return got
                    wait = got
                else:
                    queue.wake_first()  # the demand of another ticket has changed
                self._refuse_long_cool_down(upstream, max_cool_down)
                if deadline is not None:
                    wait = self._bounded_wait(upstream, queue, ticket, wait, deadline)
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(wait):
                        await ticket.turn.wait()
            raise self._full(upstream, queue)
        finally:
            queue.leave(ticket)
            if not queue and self._queues.get(upstream) is queue:
                del self._queues[upstream]

    def _full(self, upstream: str, queue: FairQueue) -> NoPermitError:
        return NoPermitError(QueueFull(upstream, queue.clients, self._estimate(upstream, queue.clients)))

    def _refuse_long_cool_down(self, upstream: str, most: float | None) -> None:
        """Raise if `upstream` is cooling down for more than `most` seconds (None: any time)."""
        cooling = self.cool_down(upstream)
        if cooling is not None and most is not None and cooling.wait > most:
            raise NoPermitError(cooling)

    def _bounded_wait(
        self, upstream: str, queue: FairQueue, ticket: Ticket, wait: float | None, deadline: float
    ) -> float:
        """Return `wait`, cut at the deadline; raise if that has passed, or will pass before the cool-down ends."""
        left = deadline - self._clock.monotonic()
        cooling = self.cool_down(upstream)
        if left <= 0 or (cooling is not None and cooling.wait > left):
            cause = cooling.cause if cooling is not None else ""
            raise NoPermitError(CoolingDown(upstream, self._estimate(upstream, queue.ahead_of(ticket)), cause))
        return left if wait is None else min(wait, left)

    def _estimate(self, upstream: str, ahead: int) -> float:
        policy, state, now = self.policy(upstream), self._load(upstream), self.now()
        _, wait = rate_limit.grant(state, policy, now)
        return wait + ahead / (rate_limit.pace(state, policy, now).requests_per_second or float("inf"))

    async def _try(self, upstream: str, demand: Demand) -> Permit | float:
        """Take a slot and a grant, both or neither; otherwise return the seconds after which to try again."""
        policy = self.policy(upstream)
        _, wait = rate_limit.grant(self._load(upstream), policy, self.now())
        if wait:
            return wait
        slot = self._slots.take(f"upstream {upstream}", policy.connections)
        if slot is None:
            if not demand.is_background:
                self._ask_to_give_way(upstream)
            return SLOT_POLL
        try:
            state, wait = await self._grant(upstream, policy)
        except BaseException:
            slot.release()
            raise
        if wait:  # another process was faster
            slot.release()
            return wait
        return Permit(self, upstream, slot, state.cool_down_epoch, demand)

    def _ask_to_give_way(self, upstream: str) -> None:
        """Stop one request to `upstream` for whose answer nothing waits any more, to free its connection slot."""
        for permit in self._granted:
            if permit.upstream == upstream and permit.demand.give_way():
                return

    async def _grant(self, upstream: str, policy: RatePolicy) -> tuple[RateState, float]:
        """Spend a token, or take the probe, atomically across processes.

        A healthy upstream without a rate costs no write.
        """
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
            # The write is completed nevertheless. A lost token is harmless, but a probe that is never sent would block
            # all requests until its lease ends.
            await asyncio.wait({writing})
            if not waits[0] and writing.exception() is None:
                await self._forgo(upstream, writing.result().cool_down_epoch)
            raise

    async def _forgo(self, upstream: str, cool_down_epoch: int) -> None:
        if self._load(upstream).probe:
            await self._change(upstream, lambda state: rate_limit.returned(state, cool_down_epoch=cool_down_epoch))
            self._wake(upstream)

    def _load(self, upstream: str) -> RateState:
        row = self._store.fact(_key(upstream), int(self.now()))
        return self._unwritten.get(upstream) or RateState.from_json(row)

    async def _change(self, upstream: str, change: Callable[[RateState], RateState]) -> RateState:
        """Change the row. If the store cannot write it (full disk), this process keeps the state in memory."""

        def on_row(row: Any | None) -> dict[str, float | str]:
            return change(self._unwritten.get(upstream) or RateState.from_json(row)).to_json()

        try:
            state = RateState.from_json(await self._store.update_fact(_key(upstream), on_row))
        except StorageFailure as failure:
            if upstream not in self._unwritten:
                _log.warning("The rate limit state of %s is kept in memory only: %s", upstream, failure)
            self._unwritten[upstream] = state = change(self._load(upstream))
        else:
            self._unwritten.pop(upstream, None)
        return state


def _key(upstream: str) -> str:
    return RATE_FACTS + upstream
