"""The estimate of a prefetch: a range where it is unknown whether a mirror has a file, narrowed by observations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.archives import HISTORIES
from snapproxy.core.rate_limit import MIRROR, SPARING, RateState, throttled
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from snapproxy.prefetch.estimate import Bounds, Estimate, Observed, PlannedFile, UpstreamOutlook, estimate, planned
from snapproxy.prefetch.model import WantedFile
from tests.fakes.answerer import DEBIAN, WHEN

NOW = 1_717_200_000.0
PAST, NEAR = "snapshot.example", "mirror.example"
FRESH = {PAST: UpstreamOutlook(SPARING, RateState()), NEAR: UpstreamOutlook(MIRROR, RateState())}
BOTH = PlannedFile(NEAR, PAST, 10_000)
OLD = PlannedFile("", PAST, 10_000)


def refused() -> RateState:
    return throttled(RateState(), SPARING, NOW, cool_down_epoch=0, retry_after=None, jitter=0.0)


def test_at_best_everything_comes_from_the_mirror_at_worst_nothing() -> None:
    found = estimate([BOTH] * 100, FRESH, NOW)
    assert found.requests == {NEAR: Bounds(100, 100), PAST: Bounds(0, 200)}
    assert found.seconds.best == pytest.approx(100 * 0.2 / 4)
    assert found.seconds.worst == pytest.approx((200 - 30) / 0.7)
    assert (found.files, found.stored, found.bytes, found.slowest) == (100, 0, 1_000_000, PAST)


def test_stored_files_cost_nothing() -> None:
    stored = replace(BOTH, is_stored=True)
    assert estimate([stored] * 5, FRESH, NOW) == Estimate(0, 5, 0, 0, {}, Bounds(0, 0), "")
    assert estimate([stored, OLD], FRESH, NOW).requests == {PAST: Bounds(1, 2)}


def test_files_of_unknown_size_are_counted_apart() -> None:
    found = estimate([OLD, PlannedFile("", PAST)], FRESH, NOW)
    assert (found.bytes, found.unsized) == (10_000, 1)


def test_large_files_take_the_time_of_their_bytes() -> None:
    large = [PlannedFile(NEAR, "", 100_000_000)] * 4
    assert estimate(large, FRESH, NOW).seconds == Bounds(200, 200)
    fast = Observed(files=20, bytes=200_000_000, seconds=10.0)
    assert estimate(large, FRESH, NOW, fast).seconds == Bounds(20, 20)


def test_a_cool_down_and_the_slower_pace_count() -> None:
    cooling = FRESH | {PAST: UpstreamOutlook(SPARING, refused())}
    found = estimate([OLD] * 10, cooling, NOW)
    assert found.seconds.best == pytest.approx(10 + 9 * 1.5 / 0.7, rel=0.01)
    assert found.seconds.worst == pytest.approx(10 + 19 * 1.5 / 0.7, rel=0.01)


def test_observations_narrow_the_range_around_the_truth() -> None:
    """A quarter of 100 downloaded files came from the snapshot service, with two requests each."""
    observed = Observed(files=100, mirrored=100, requests={NEAR: 100, PAST: 50}, bytes=1_000_000, seconds=1.0)
    before, after = (estimate([BOTH] * 1000, FRESH, NOW, each).requests[PAST] for each in (None, observed))
    assert before == Bounds(0, 2000)
    assert before.best < after.best < 500 < after.worst < before.worst
    assert after.worst - after.best < 400


def test_files_that_wait_for_the_service_are_not_counted_as_a_sample() -> None:
    """The mirror had 45 of 60 files. Of the other 15 five have arrived, and so has a root and its signature."""
    observed = Observed(files=52, mirrored=50, requests={NEAR: 60, PAST: 14}, bytes=1_000_000, seconds=1.0)
    found = estimate([BOTH] * 10, FRESH, NOW, observed).requests
    assert found == {NEAR: Bounds(0, 0), PAST: Bounds(12, 20)}


def test_few_observations_change_nothing() -> None:
    assert estimate([BOTH] * 9, FRESH, NOW, Observed(9, 9, {PAST: 9})) == estimate([BOTH] * 9, FRESH, NOW)


@pytest.mark.parametrize("hops", [1, 2])
def test_without_a_mirror_the_requests_are_soon_known(hops: int) -> None:
    found = estimate([OLD] * 1000, FRESH, NOW, Observed(100, 0, {PAST: 100 * hops}, 1_000_000, 1.0)).requests[PAST]
    assert found.best <= 1000 * hops <= found.worst
    assert found.worst - found.best <= 50


@pytest.mark.parametrize(
    ("history", "when", "path", "upstreams"),
    [
        ("snapshots", WHEN, "pool/main/a/a/a_1_all.deb", ("m.example:81", "s.example")),
        ("snapshots", WHEN, "dists/stable/InRelease", ("", "s.example")),
        ("snapshots", "live", "dists/stable/InRelease", ("m.example:81", "")),
        ("captured", WHEN, "dists/stable/InRelease", ("m.example:81", "")),
    ],
)
def test_the_upstreams_of_a_file_are_those_of_its_archive(
    history: str, when: str, path: str, upstreams: tuple[str, str]
) -> None:
    archive = replace(
        DEBIAN, history=history, snapshot=("https://s.example/archive/debian",), mirrors=("http://m.example:81/debian",)
    )
    file = WantedFile(archive, parse_time(when), path)
    found = planned(file, FAMILIES["apt"], HISTORIES[history], size=3, is_stored=False)
    assert found == PlannedFile(*upstreams, 3)
