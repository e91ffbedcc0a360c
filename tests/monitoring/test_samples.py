"""Samples of the last day: one writer, a bounded number, kept over a restart, whatever the clock does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from snapproxy.base import metrics
from snapproxy.monitoring.samples import MAX_SAMPLES, PERIOD, DaySamples, total
from snapproxy_storage import MemoryCounters, StorageFailure, Store, open_store
from tests.fakes.virtual_clock import VirtualClock


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state", tmp_path / "cache") as opened:
        yield opened


class Clock(VirtualClock):
    """A clock that a test sets."""

    at = 1_717_200_000

    def now(self) -> int:
        return self.at


def day(store: Store, counters: MemoryCounters, clock: Clock) -> DaySamples:
    return DaySamples(store.catalog, store.slots, counters, clock)


def test_a_total_adds_up_archives_and_hosts() -> None:
    counters = MemoryCounters()
    counters.add(metrics.REQUESTS.key("a", "hit"), 2)
    counters.add(metrics.REQUESTS.key("b", "hit"), 3)
    counters.add(metrics.REQUESTS.key("b", "miss"), 5)
    counters.add(metrics.REQUESTS.key("b", "joined"), 7)
    counters.add(metrics.REFUSALS.key("b", "404"), 11)
    counters.add(metrics.SENT_BYTES.key("b", "hit"), 13)
    counters.add(metrics.UPSTREAM_BYTES.key("h"), 17)
    counters.add(metrics.UPSTREAM_WAITS.key("h"), 19)
    counters.add(metrics.UPSTREAM_THROTTLED.key("h", "429"), 23)
    found = total(counters, 9)
    assert (found.at, found.hits, found.joined, found.misses, found.refusals) == (9, 5, 7, 5, 11)
    assert (found.sent, found.fetched, found.waits, found.throttled) == (13, 17, 19, 23)


async def test_the_growth_of_each_minute_is_returned_also_after_a_restart(store: Store) -> None:
    counters, clock = MemoryCounters(), Clock()
    samples = day(store, counters, clock)
    for hits in (5, 2, 4):
        counters.add(metrics.REQUESTS.key("a", "hit"), hits)
        await samples.take()
        clock.at += PERIOD
    expected = [(1_717_200_060, 2), (1_717_200_120, 4)]
    assert [(each.at, each.hits) for each in samples.last_day()] == expected
    assert [(each.at, each.hits) for each in day(store, counters, clock).last_day()] == expected


async def test_one_process_writes_and_another_one_takes_over(store: Store) -> None:
    counters, clock = MemoryCounters(), Clock()
    first, second = day(store, counters, clock), day(store, counters, clock)
    running = asyncio.create_task(first.run())
    await first.take()
    clock.at += PERIOD
    await second.take()
    assert len(first.last_day()) == len(second.last_day()) == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await second.take()
    assert len(first.last_day()) == len(second.last_day()) == 1


async def test_a_day_is_kept_and_no_more(store: Store) -> None:
    counters, clock = MemoryCounters(), Clock()
    samples = day(store, counters, clock)
    for at in (0, 1, MAX_SAMPLES - 1, MAX_SAMPLES, MAX_SAMPLES + 1):
        clock.at = 1_717_200_000 + at * PERIOD
        await samples.take()
    assert len(samples.last_day()) == 2
    assert len(day(store, counters, clock).last_day()) == 2


async def test_a_clock_that_jumps_back_hides_the_future(store: Store) -> None:
    counters, clock = MemoryCounters(), Clock()
    samples = day(store, counters, clock)
    await samples.take()
    clock.at += 10_000
    await samples.take()
    clock.at -= 9_000
    await samples.take()
    assert [each.at for each in samples.last_day()] == [1_717_201_000]


async def test_a_look_reads_the_minutes_since_the_last_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, keys = Clock(), list[str]()
    fact = store.catalog.fact
    monkeypatch.setattr(store.catalog, "fact", lambda key, now: keys.append(key) or fact(key, now))
    samples = day(store, MemoryCounters(), clock)
    counts = []
    for minutes in (0, 0, 1, 5):  # no sample is taken: there is none to begin with
        clock.at += minutes * PERIOD
        samples.last_day()
        counts.append(len(keys))
        keys.clear()
    assert counts == [MAX_SAMPLES, 2, 3, 7]


async def test_a_total_that_decreased_has_grown_by_nothing(store: Store) -> None:
    clock, first = Clock(), MemoryCounters()
    first.add(metrics.REQUESTS.key("a", "hit"), 9)
    samples = day(store, first, clock)
    await samples.take()
    samples._counters = MemoryCounters()
    clock.at += PERIOD
    await samples.take()
    assert [each.hits for each in samples.last_day()] == [0]


@pytest.mark.parametrize("row", [None, 1, [], [1], ["x"] * 9, [1.5] * 9, {"at": 1}])
async def test_a_row_of_another_version_is_ignored(store: Store, row: object) -> None:
    clock = Clock()
    await store.catalog.put_fact(f"sample/{clock.at // PERIOD % MAX_SAMPLES}", row)
    assert day(store, MemoryCounters(), clock).last_day() == []


async def test_a_sample_that_cannot_be_taken_is_left_out(store: Store) -> None:
    class Failing(MemoryCounters):
        is_failing = True

        def totals(self) -> Mapping[str, int]:
            if self.is_failing:
                raise StorageFailure("Too many open files")
            return super().totals()

    counters, clock = Failing(), Clock()
    samples = day(store, counters, clock)
    for is_failing in (False, True, False):
        counters.is_failing = is_failing
        counters.add(metrics.REQUESTS.key("a", "hit"), 2)
        await samples.take()
        clock.at += PERIOD
    assert [each.hits for each in samples.last_day()] == [4]
