"""Answer a job's requests, and wait for refusals that may pass, such as a cool-down after a 509."""

from __future__ import annotations

from snapproxy.base.clock import Clock
from snapproxy.core.exchange import (
    Answerer,
    Conditions,
    FileTarget,
    Outcome,
    PassTarget,
    Prefetch,
    ServiceTarget,
    TunnelTarget,
)
from snapproxy.core.model import Refusal

MOST_WAITS = 6
"""Maximum number of waits for one file. Upstreams that refuse for hours end it; a later run continues."""

MOST_FAILURES = 2
"""Maximum number of failures of one file: an upstream that cannot be reached is not waited for as one that throttles.

A list may concern archives that a closed network does not reach.
"""

LONGEST_WAIT = 600.0
"""Maximum seconds of one wait; an upstream that names a longer time is not waited for."""


class RetryingAnswerer:
    """An answerer that requests a file again after the time that a refusal names (implements `Answerer`)."""

    def __init__(self, answerer: Answerer, clock: Clock) -> None:
        self._answerer = answerer
        self._clock = clock

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        """Return the answer, or the last refusal."""
        outcome = await self._answerer.answer(target, conditions)
        failures = 0
        for _ in range(MOST_WAITS):
            if not isinstance(outcome, Refusal) or not outcome.may_pass:
                break
            failures += not outcome.is_wait
            if failures == MOST_FAILURES:
                break
            seconds = float(outcome.headers["Retry-After"])
            if seconds > LONGEST_WAIT:
                break
            await self._clock.sleep(seconds)
            outcome = await self._answerer.answer(target, conditions)
        return outcome

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Prefetch | None:
        return self._answerer.prefetch(target, conditions)

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        return await self._answerer.passing(target)
