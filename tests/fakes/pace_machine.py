"""One machine whose processes share the rate limits of upstreams, on a virtual clock, and a service with a limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from snapproxy.core.rate_limit import SPARING, RatePolicy
from snapproxy.upstream.rate_limit import RateLimiter
from tests.fakes.pace_store import MemoryPaceStore, MemorySlots
from tests.fakes.virtual_clock import VirtualClock

SERVICE = "snapshot.example"
MIRROR = "mirror.example"


class Machine:
    """One machine: a clock, a store, slots. Every `limiter` is another process on it, or one after a restart."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryPaceStore()
        self.slots = MemorySlots()
        self.sent: list[float] = []

    def limiter(self, **policies: RatePolicy) -> RateLimiter:
        return RateLimiter(
            clock=self.clock,
            store=self.store,
            slots=self.slots,
            policies={SERVICE: replace(SPARING, cool_down=30.0)} | policies,
            jitter=lambda: 0.0,
        )

    async def ask(self, limiter: RateLimiter, answer: Callable[[float], int], *, upstream: str = SERVICE) -> int:
        """Send one request, which the upstream answers immediately with the status `answer(seconds)`."""
        async with limiter.permit(upstream) as permit:
            self.sent.append(self.clock.monotonic())
            status = answer(self.clock.monotonic())
            await (permit.throttled(429) if status in {429, 503, 509} else permit.succeeded())
            return status

    async def insist(self, limiter: RateLimiter, answer: Callable[[float], int], *, upstream: str = SERVICE) -> None:
        """Ask until it is answered, as a flight does."""
        while await self.ask(limiter, answer, upstream=upstream) != 200:
            pass


def always(_seconds: float) -> int:
    return 200


class OneEvery:
    """A service that allows one request in `seconds`, and answers 509 to every other one.

    `statuses` are its answers so far.
    """

    def __init__(self, seconds: float) -> None:
        self.statuses: list[int] = []
        self._seconds = seconds
        self._allowed = float("-inf")

    def __call__(self, at: float) -> int:
        is_allowed = at - self._allowed >= self._seconds
        self._allowed = at if is_allowed else self._allowed
        self.statuses.append(200 if is_allowed else 509)
        return self.statuses[-1]
