"""Refusals that may pass are waited for, a limited number of times; others are answers."""

from __future__ import annotations

import asyncio

from snapproxy.base.clock import SystemClock
from snapproxy.core.exchange import Conditions, FileTarget, Outcome, PassTarget, Prefetch, ServiceTarget, TunnelTarget
from snapproxy.core.model import Archive, Refusal
from snapproxy.core.time_spec import parse_time
from snapproxy.prefetch.retrying import LONGEST_WAIT, MOST_FAILURES, MOST_WAITS, RetryingAnswerer

TARGET = FileTarget(Archive("debian", "apt", "snapshots"), parse_time("20240601T000000Z"), "x")
FINAL = Refusal(404, "absent")


class Scripted:
    """An answerer with prepared refusals; the last one is repeated."""

    def __init__(self, *refusals: Refusal) -> None:
        self.refusals = list(refusals)
        self.asked = 0

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        self.asked += 1
        return self.refusals.pop(0) if len(self.refusals) > 1 else self.refusals[0]

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Prefetch | None:
        return None

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        return None


class InstantClock(SystemClock):
    """A clock whose sleepers do not wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def cooling(seconds: float) -> Refusal:
    return Refusal(503, "cooling down", headers={"Retry-After": str(seconds)}, is_wait=True)


def unreachable(seconds: float) -> Refusal:
    return Refusal(504, "cannot be resolved", headers={"Retry-After": str(seconds)})


def answered(*refusals: Refusal) -> tuple[Outcome, list[float]]:
    clock = InstantClock()
    answerer = RetryingAnswerer(Scripted(*refusals), clock)
    return asyncio.run(answerer.answer(TARGET, Conditions())), clock.slept


def test_the_named_time_is_waited_for() -> None:
    assert answered(cooling(10), cooling(20), FINAL) == (FINAL, [10, 20])


def test_a_final_refusal_is_not_repeated() -> None:
    assert answered(FINAL) == (FINAL, [])


def test_an_upstream_that_never_recovers_is_given_up() -> None:
    assert answered(cooling(10)) == (cooling(10), [10] * MOST_WAITS)


def test_an_upstream_that_cannot_be_reached_is_asked_twice() -> None:
    assert answered(unreachable(10)) == (unreachable(10), [10] * (MOST_FAILURES - 1))
    assert answered(unreachable(10), cooling(20), FINAL) == (FINAL, [10, 20])


def test_hours_are_not_waited_for() -> None:
    assert answered(cooling(LONGEST_WAIT + 1), FINAL) == (cooling(LONGEST_WAIT + 1), [])
