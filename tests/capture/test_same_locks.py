"""A lock depends on the request and the archive alone, not on what else the store has seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.capture.lock import encode
from snapproxy.capture.replay import Replayed
from snapproxy.core.model import Archive
from snapproxy.core.time_spec import format_instant
from tests.fakes.arch import DatedService
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, Hamlet, later
from tests.fakes.house import PATIENT, House
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.present import Present
from tests.fakes.services import UbuntuService

HOUR = 3600
ABSENT = "dists/stable/main/i18n/Translation-en.xz"
PATHS = (INRELEASE, RELEASE, SIGNATURE, PACKAGES, ABSENT)
AT = later(FIRST, 31 * HOUR)
"""An instant between two dumps of one state, and in the middle of the days that have it."""
OTHER_TIMES = tuple(later(FIRST, hours * HOUR) for hours in (1, 13, 30, 50))
IN_GAP, AFTER_GAP = later(FIRST, 120 * HOUR), later(SECOND, -6 * HOUR)


@pytest.fixture
def servers(hamlet: Hamlet) -> Iterator[dict[str, Archive]]:
    """The two states of the tiny archive, as archives of every history that has an upstream."""
    first = hamlet.edition.trees[FIRST]
    days = {f"2024/{month:02}/{day:02}": first for month, day in ((5, 31), (6, 1), (6, 2), (6, 3))}
    with (
        ArchiveServer(DatedService(days), name="dated", address="127.0.0.6") as dated,
        ArchiveServer(UbuntuService(hamlet.timeline), name="ubuntu", address="127.0.0.7", log=hamlet.log) as ubuntu,
    ):
        row = replace(hamlet.row, mirrors=())
        yield {
            "snapshots": row,
            "dated": replace(row, history="dated", snapshot=(dated.url,)),
            "any-instant": replace(row, history="any-instant", snapshot=(f"{ubuntu.url}/ubuntu",)),
        }


@asynccontextmanager
async def opened(folder: Path, row: Archive) -> AsyncIterator[House]:
    async with House(folder, (row,), timeouts=PATIENT) as house:
        yield house


async def record(house: House, when: str, paths: Sequence[str]) -> tuple[bytes, set[str]]:
    """Record a build, and return its lock and the snapshots that its answers named."""
    named = set()
    for path in paths:
        got = await house.get(when, path, capture="build")
        assert got.status == (404 if path == ABSENT else 200), (path, got.outcome)
        named.add(got.headers["X-Snapproxy-Snapshot"] if got.status == 404 else f"debian/{got.served.snapshot}")
    return encode(await house.app.captures.record("build")), named


@pytest.mark.parametrize("history", ["snapshots", "dated", "any-instant"])
async def test_a_used_store_and_a_fresh_one_give_the_same_lock(
    servers: dict[str, Archive], tmp_path: Path, history: str
) -> None:
    """The used store has seen the same root before and after the recorded time, and is asked in another order."""
    async with (
        opened(tmp_path / "fresh", servers[history]) as fresh,
        opened(tmp_path / "used", servers[history]) as used,
    ):
        for when in OTHER_TIMES:
            for path in PATHS:
                await used.get(when, path)
        expected = await record(fresh, AT, PATHS)
        assert b'"valid":null' in expected[0]
        assert await record(used, AT, PATHS[::-1]) == expected


@pytest.mark.parametrize("before", [OTHER_TIMES[-1:], OTHER_TIMES])
async def test_a_time_in_a_gap_is_named_by_the_newest_snapshot_before_it(
    servers: dict[str, Archive], hamlet: Hamlet, tmp_path: Path, before: tuple[str, ...]
) -> None:
    hamlet.timeline.publish(AFTER_GAP, hamlet.edition.trees[FIRST])
    async with opened(tmp_path / "house", servers["snapshots"]) as house:
        for when in (AFTER_GAP, *before):
            assert (await house.get(when, INRELEASE)).status == 200
        _, named = await record(house, IN_GAP, (INRELEASE,))
        assert named == {f"debian/{later(FIRST, 54 * HOUR)}"}
        other = await house.get(IN_GAP, RELEASE)
        assert other.status == 410, "what proves one root must not answer for another"
        assert "gap" in other.refusal.reason


async def test_a_bracketed_instant_costs_no_request(
    servers: dict[str, Archive], hamlet: Hamlet, tmp_path: Path
) -> None:
    paths = (INRELEASE, RELEASE, SIGNATURE, PACKAGES)
    async with opened(tmp_path / "house", servers["any-instant"]) as house:
        for when in (FIRST, later(FIRST, 50 * HOUR)):
            for path in paths:
                await house.get(when, path)
        hamlet.log.reset_counts()
        for second in range(31 * HOUR, 31 * HOUR + 20):
            for path in paths:
                got = await house.get(later(FIRST, second), path)
                assert (got.status, got.served.snapshot) == (200, later(FIRST, second))
                assert path == SIGNATURE or got.proof == "gpg"
        assert list(hamlet.log.entries) == []
        assert (await house.get(later(FIRST, 51 * HOUR), INRELEASE)).status == 200
        assert len(hamlet.log.entries) == 1, "beyond the bracket nothing is proved"


async def test_an_observed_archive_gives_the_same_lock_however_often_it_was_observed(
    present: Present, tmp_path: Path
) -> None:
    """The used store began earlier, observed in between, and went on later."""
    clock, paths = LeapingClock(), (INRELEASE, PACKAGES, present.package)
    async with (
        House(tmp_path / "fresh", (present.vendor,), clock, timeouts=PATIENT) as fresh,
        House(tmp_path / "used", (present.vendor,), clock, timeouts=PATIENT) as used,
    ):
        for observers in ((used,), (fresh, used), (used,), (fresh, used), (used,)):
            for house in observers:
                for path in paths:
                    assert (await house.get("live", path)).status == 200
            clock.leap(HOUR)
        at = format_instant(clock.now() - 3 * HOUR - HOUR // 2)
        locks = []
        for house in (fresh, used):
            for path in paths:
                got = await house.get(at, path, capture="build")
                assert (got.status, got.served.snapshot) == (200, at), got.outcome
            locks.append(encode(await house.app.captures.record("build")))
        assert locks[0] == locks[1]


async def test_a_recorded_observation_is_fetched_again_from_the_archive(present: Present, tmp_path: Path) -> None:
    """The lock names the requested time; the observation is stored under another id."""
    clock, paths = LeapingClock(), (INRELEASE, PACKAGES, present.package)
    async with House(tmp_path / "house", (present.vendor,), clock, timeouts=PATIENT) as house:
        for _ in range(2):
            for path in paths:
                await house.get("live", path)
            clock.leap(HOUR)
        at = format_instant(clock.now() - HOUR - HOUR // 2)
        for path in paths:
            await house.get(at, path, capture="build")
        recorded = await house.app.captures.record("build")
        entry = next(each for each in recorded.entries if each.path == present.package)
        assert entry.snapshot == at
        await house.store.blobs.remove(entry.sha256)
    replayed = Replayed(recorded, "the lock")
    async with House(tmp_path / "house", (present.vendor,), clock, timeouts=PATIENT, replayed=replayed) as house:
        got = await house.get(at, present.package)
        assert (got.status, got.proof, got.served.cache) == (200, "gpg", "MISS")
