"""The newest time that several archives answer, over made-up timelines."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.resolve import resolve_any, resolve_listed
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.jobs.common_time import CommonTime, newest_common

HOUR = 3600
NOW = 1_717_200_000
DAY = 24 * HOUR
TIMELINES: dict[str, tuple[Instant, ...]] = {
    "often": tuple(range(NOW - 20 * DAY, NOW, 6 * HOUR)),
    "seldom": tuple(range(NOW - 20 * DAY, NOW - DAY, 30 * HOUR)),
    "ended": tuple(range(NOW - 20 * DAY, NOW - 10 * DAY, 6 * HOUR)),
    "gap": tuple(each for each in range(NOW - 20 * DAY, NOW, 6 * HOUR) if not NOW - 12 * DAY < each < NOW - 5 * DAY),
    "new": tuple(range(NOW - 2 * DAY, NOW, 6 * HOUR)),
}


async def resolve(name: str, when: TimeSpec) -> Resolved | Refusal:
    if name == "any":
        return resolve_any(Archive("any", "apt", "any-instant"), when, NOW)
    whole = Window(0, NOW + DAY, TIMELINES[name], asked=NOW)
    answer = resolve_listed(Archive(name, "apt", "snapshots"), when, {(0, NOW + DAY): whole}, NOW)
    assert not isinstance(answer, NeedWindow)
    return answer


def find(*archives: str, when: str = "latest") -> CommonTime | Refusal:
    return asyncio.run(newest_common(archives, parse_time(when), resolve))


@pytest.mark.parametrize(
    "archives",
    [("often",), ("often", "seldom"), ("seldom", "often"), ("often", "any"), ("often", "ended"), ("ended", "gap"),
     ("often", "seldom", "gap", "any")],
)  # fmt: skip
def test_every_archive_answers_the_time(archives: tuple[str, ...]) -> None:
    found = find(*archives)
    assert isinstance(found, CommonTime), found
    assert list(found.snapshots) == list(archives)
    for name in archives:
        assert asyncio.run(resolve(name, parse_time(format_instant(found.instant)))) == found.snapshots[name]


def test_no_later_snapshot_of_any_archive_is_answered_by_all() -> None:
    for archives in (("often", "seldom"), ("often", "ended"), ("ended", "gap")):
        found = find(*archives)
        assert isinstance(found, CommonTime)
        for later in (each for name in archives for each in TIMELINES[name] if each > found.instant):
            answers = [asyncio.run(resolve(name, parse_time(format_instant(later)))) for name in archives]
            assert any(isinstance(each, Refusal) for each in answers), (archives, format_instant(later))


def test_a_time_with_nearest_is_the_newest_at_or_before_it() -> None:
    found = find("often", "gap", when=f"{format_instant(NOW - 6 * DAY)}.nearest")
    assert isinstance(found, CommonTime)
    assert found.instant == NOW - 12 * DAY


def test_any_other_time_is_checked_and_the_archive_that_refuses_it_is_named() -> None:
    at = format_instant(NOW - 15 * DAY)
    found = find("often", "gap", when=at)
    assert isinstance(found, CommonTime)
    assert found.instant == NOW - 15 * DAY
    refused = find("often", "gap", when=format_instant(NOW - 8 * DAY))
    assert isinstance(refused, Refusal)
    assert refused.status == 410
    assert refused.why.startswith("gap: ")


def test_archives_without_a_common_time_are_refused() -> None:
    refused = find("ended", "new")
    assert isinstance(refused, Refusal)
    assert refused.why.startswith("new")
