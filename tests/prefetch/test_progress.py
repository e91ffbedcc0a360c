"""The progress of a fetch as whole lines."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from snapproxy.cli.progress import reporting_line
from snapproxy.core.model import Proof, Refusal
from snapproxy.core.rate_limit import MIRROR, SPARING, RatePolicy, RateState, throttled
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.prefetch.estimate import PlannedFile, UpstreamOutlook, estimate
from snapproxy.prefetch.fetch_files import PrefetchedFile
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.progress import duration, estimate_line
from snapproxy.prefetch.watch import FetchWatch
from tests.fakes.answerer import DEBIAN, WHEN
from tests.fakes.virtual_clock import VirtualClock

PAST, NEAR = "snapshot.example", "mirror.example"
FILES = [WantedFile(DEBIAN, parse_time(WHEN), f"pool/{number}.deb", size=1000) for number in range(100)]
STORED, NEW = (PrefetchedFile(1000, "", Proof.GPG, cache, "") for cache in ("HIT", "MISS"))


class Limits:
    """The state of each upstream, as a rate limiter has it."""

    def __init__(self) -> None:
        self.states: dict[str, RateState] = {}

    def policy(self, upstream: str) -> RatePolicy:
        return SPARING if upstream == PAST else MIRROR

    def state(self, upstream: str) -> RateState:
        return self.states.get(upstream, RateState())


class Fetch:
    """A fetch of 100 files, its clock and its upstreams."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.limits = Limits()
        self.requests: Counter[str] = Counter({PAST: 7})
        planned = {file: PlannedFile(NEAR, PAST, 1000) for file in FILES}
        self.watch = FetchWatch(planned, limits=self.limits, requests=lambda: self.requests, clock=self.clock)

    @property
    def line(self) -> str:
        return self.watch.line(size=lambda count: f"{count:.0f} B", hour=lambda at: format_instant(int(at))[9:13])

    async def arrive(self, files: list[WantedFile], seconds: float) -> None:
        """Let the files arrive one after the other, and finish."""
        for file in files:
            await self.clock.advance(seconds)
            self.watch.state.advance(file, 1000, 1000)
            self.watch.state.finish(file, NEW)


def refused(fetch: Fetch, after: RateState | None = None) -> RateState:
    before = after or RateState()
    return throttled(
        before, SPARING, fetch.clock.time(), cool_down_epoch=before.cool_down_epoch, retry_after=None, jitter=0.0,
        cause="509",
    )  # fmt: skip


def test_the_first_line_has_the_whole_range() -> None:
    assert Fetch().line == (
        "0 of 100 files, 0 B downloaded; snapshot.example is asked at one request in 1.4 s; "
        "done in 5 s to 4 min, at 0000 to 0004"
    )


async def test_the_rate_and_the_narrower_range_are_observed() -> None:
    fetch = Fetch()
    await fetch.arrive(FILES[:50], 0.1)
    fetch.requests.update({NEAR: 50})
    assert fetch.line == ("50 of 100 files, 50000 B downloaded, 10000 B/s; done in 5 s, at 0000")


async def test_stored_and_refused_files_are_no_downloads() -> None:
    fetch = Fetch()
    for number, outcome in enumerate((STORED, STORED, Refusal(502, "Upstream refuses access to this file (403)"))):
        fetch.watch.state.finish(FILES[number], outcome)
    assert fetch.line.startswith("3 of 100 files, 1 refused, 0 B downloaded; ")


async def test_a_cool_down_is_named_with_its_end() -> None:
    fetch = Fetch()
    once = refused(fetch)
    fetch.limits.states[PAST] = replace(once, until=fetch.clock.time() + 600)
    assert "; snapshot.example answered 509: cooling down until 0010; done in " in fetch.line
    await fetch.clock.advance(600)
    assert "; snapshot.example is asked at one request in 2.1 s; " in fetch.line


async def test_a_refusal_that_is_waited_for_is_named_until_bytes_arrive() -> None:
    fetch = Fetch()
    fetch.watch.state.wait(FILES[0], Refusal(504, "mirror.example cannot be reached"), 5.0)
    assert "; waits: mirror.example cannot be reached; " in fetch.line
    fetch.watch.state.advance(FILES[0], 10, 1000)
    assert "waits" not in fetch.line


async def test_the_last_line_promises_nothing() -> None:
    fetch = Fetch()
    await fetch.arrive(FILES, 0.1)
    assert fetch.line == "100 of 100 files, 100000 B downloaded, 10000 B/s"


async def test_a_retry_counts_no_byte_twice_and_a_pause_is_no_transfer() -> None:
    fetch = Fetch()
    for after, done in ((0.5, 400), (900.0, 100), (0.5, 1000)):
        await fetch.clock.advance(after)
        fetch.watch.state.advance(FILES[0], done, 1000)
    assert fetch.watch.state.downloaded_bytes == 1000
    assert fetch.watch.state.active_seconds == 1.0


def test_the_estimate_before_the_start() -> None:
    upstreams = {PAST: UpstreamOutlook(SPARING, RateState()), NEAR: UpstreamOutlook(MIRROR, RateState())}
    files = [PlannedFile(NEAR, PAST, 1000)] * 400 + [PlannedFile(NEAR, PAST, is_stored=True)] * 3

    def line(*files: PlannedFile) -> str:
        return estimate_line(estimate(files, upstreams, 0.0), size=lambda count: f"{count:.0f} B")

    assert line(*files) == (
        "400 files to download (400000 B), 3 more are stored; "
        "requests: 400 to mirror.example, 0 to 800 to snapshot.example; time: 20 s to 18 min"
    )
    assert line(*files[-1:]) == "0 files to download (0 B), 1 more are stored"
    assert line(PlannedFile("", PAST)) == (
        "1 files to download (0 B and 1 files of unknown size); requests: 1 to 2 to snapshot.example; time: 0 s"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "1 h 0 min"), (5400, "1 h 30 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_a_log_has_a_line_every_period(capsys: pytest.CaptureFixture[str]) -> None:
    said = asyncio.Event()

    def line() -> str:
        said.set()
        return "1 of 2 files"

    async with reporting_line(line, lambda: (1, 2), what="prefetch", period=0.001):
        await said.wait()
    assert capsys.readouterr().err.startswith("prefetch: 1 of 2 files\n")
