"""A whole fetch from a service that allows one request in 1.5 seconds, on a virtual clock: refusals, requests, time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from snapproxy.core.exchange import Conditions, FileTarget, Outcome, PassTarget, Served, ServiceTarget, TunnelTarget
from snapproxy.core.model import Refusal
from snapproxy.core.rate_limit import BACKGROUND, SPARING, RatePolicy
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from snapproxy.prefetch.estimate import Bounds, Observed, PlannedFile, UpstreamOutlook, estimate
from snapproxy.prefetch.fetch_files import FileFetcher, FileOutcome, PrefetchedFile
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.watch import FetchWatch
from snapproxy.upstream.rate_limit import RateLimiter
from tests.fakes.answerer import DEBIAN, WHEN, FakeArchive
from tests.fakes.pace_machine import SERVICE, Machine, OneEvery

FILES = 400
OBSERVED = 20


class PacedArchive:
    """Answers every file after the requests that a download sends to a service: as many as it refuses, and one more."""

    def __init__(self, machine: Machine, service: OneEvery, policy: RatePolicy = SPARING) -> None:
        self.limiter: RateLimiter = machine.limiter(**{SERVICE: policy})
        self._machine = machine
        self._service = service
        self._files = FakeArchive()

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        while True:
            async with self.limiter.permit(SERVICE, demand=BACKGROUND) as permit:
                status = self._service(self._machine.clock.monotonic())
                await (permit.succeeded() if status == 200 else permit.throttled(status, 0.0))
            if status == 200:
                self._files.add(target.path, b"bytes")
                outcome = await self._files.answer(target, conditions)
                return replace(outcome, cache="MISS") if isinstance(outcome, Served) else outcome

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> None:
        raise AssertionError("no client waits in a pipeline")

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        raise AssertionError("a prefetch reaches no other host")

    def close(self) -> None:
        self._files.close()


class Predicting:
    """Predicts the time of the rest when some files are finished."""

    def __init__(self, machine: Machine, archive: PacedArchive) -> None:
        self.finished = 0
        self.end = (0.0, 0.0)
        self._machine = machine
        self._archive = archive

    def advance(self, file: WantedFile, done: int, total: int | None) -> None: ...

    def wait(self, file: WantedFile, refusal: Refusal, seconds: float) -> None: ...

    def finish(self, file: WantedFile, outcome: FileOutcome) -> None:
        self.finished += isinstance(outcome, PrefetchedFile)
        if self.finished == OBSERVED:
            clock, limiter = self._machine.clock, self._archive.limiter
            outlook = UpstreamOutlook(limiter.policy(SERVICE), limiter.state(SERVICE))
            rest = [PlannedFile("", SERVICE, 5)] * (FILES - OBSERVED)
            observed = Observed(OBSERVED, 0, {SERVICE: OBSERVED}, 5 * OBSERVED, 1.0)
            found = estimate(rest, {SERVICE: outlook}, clock.time(), observed)
            self.end = (clock.monotonic() + found.seconds.best, clock.monotonic() + found.seconds.worst)


async def test_one_refusal_and_as_many_requests_as_files_in_the_predicted_time() -> None:
    machine, service = Machine(), OneEvery(1.5)
    archive = PacedArchive(machine, service)
    predicting = Predicting(machine, archive)
    files = [WantedFile(DEBIAN, parse_time(WHEN), f"pool/{number}.deb") for number in range(FILES)]
    fetcher = FileFetcher(archive, families=FAMILIES, clock=machine.clock)
    outcomes = await machine.clock.run(fetcher.fetch(files, predicting))
    archive.close()
    assert all(isinstance(outcome, PrefetchedFile) for outcome in outcomes.values())
    assert service.statuses.count(509) == 1
    assert len(service.statuses) == FILES + 1
    assert [machine.clock.monotonic()] * 2 == pytest.approx(list(predicting.end), rel=0.1)


async def test_a_service_that_is_configured_as_slow_never_refuses_and_its_time_is_predicted_before_the_start() -> None:
    """The prediction is the one of `--dry-run`; the remaining time is predicted as well after every hundred files."""
    machine, service = Machine(), OneEvery(1.5)
    archive = PacedArchive(machine, service, replace(SPARING, requests_per_second=1 / 1.5, burst=1))
    files = [WantedFile(DEBIAN, parse_time(WHEN), f"pool/{number}.deb", size=5) for number in range(400)]
    watch = FetchWatch(
        {file: PlannedFile("", SERVICE, 5) for file in files},
        limits=archive.limiter,
        requests=lambda: {SERVICE: len(service.statuses)},
        clock=machine.clock,
    )
    before = watch.estimate()
    assert before.requests[SERVICE] == Bounds(400, 800), "with and without a redirect"
    ends: list[tuple[float, float]] = []

    async def observe() -> None:
        for hundred in range(1, 4):
            while watch.state.done < hundred * 100:
                await machine.clock.sleep(1)
            rest, now = watch.estimate().seconds, machine.clock.monotonic()
            ends.append((now + rest.best, now + rest.worst))

    async def everything() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(observe())
            group.create_task(FileFetcher(archive, families=FAMILIES, clock=machine.clock).fetch(files, watch.state))

    await machine.clock.run(everything())
    archive.close()
    assert service.statuses == [200] * 400
    took = machine.clock.monotonic()
    assert before.seconds.best == pytest.approx(took, rel=0.1)
    assert [each for pair in ends for each in pair] == pytest.approx([took] * 6, rel=0.1)
