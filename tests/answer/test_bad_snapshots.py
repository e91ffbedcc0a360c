"""Snapshots marked bad by hand.

They are refused by id, skipped otherwise, refused immediately by every process, and can be unmarked.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snapproxy.archives import BUILTIN
from snapproxy.cli import times
from snapproxy.core.model import Instant, Match, Refusal, Resolved, TimeSpec
from snapproxy.core.time_spec import format_day, format_instant, parse_time
from tests.fakes.arch import DatedService
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, epoch
from tests.fakes.hamlet import FIRST, INRELEASE, SECOND, Hamlet, later
from tests.fakes.house import PATIENT, House
from tests.fakes.present import Present

WHY = "caught in the middle of a sync"
HOUR = 3600


async def mark(house: House, when: str, because: str | None = WHY, row: int = 0) -> Instant:
    marked = await times.mark_bad(house.app, house.rows[row].name, parse_time(when), because)
    assert isinstance(marked, Instant), marked
    return marked


async def observe(vendor: House) -> Instant:
    swept = await vendor.app.observe("vendor", [INRELEASE], with_packages=False)
    assert not isinstance(swept, Refusal)
    return swept.at


async def test_a_marked_snapshot_is_refused_by_its_id_and_passed_over_by_every_process(
    hamlet: Hamlet, tmp_path: Path
) -> None:
    bad = later(SECOND, 6 * HOUR)
    async with (
        House(tmp_path / "house", rows=(hamlet.row,)) as house,
        House(tmp_path / "house", rows=(hamlet.row,)) as other,
    ):
        assert (await other.get(bad, INRELEASE)).status == 200
        assert await mark(house, bad) == epoch(bad)
        refused = await other.get(bad, INRELEASE)
        assert (refused.status, WHY in refused.refusal.why) == (410, True)
        assert refused.refusal.reason == f"that snapshot is marked bad: use {SECOND} or {later(SECOND, 12 * HOUR)}"
        passed = await other.get(later(bad, 60), INRELEASE)
        assert passed.served.snapshot == SECOND
        assert passed.headers["X-Snapproxy-Note"] == f"{bad} is marked bad and was skipped"
        listed = await times.timeline(other.app, "debian", epoch(SECOND), epoch(bad))
        assert not isinstance(listed, Refusal)
        assert [(each.snapshot, each.is_bad, each.because) for each in listed] == [
            (SECOND, False, ""),
            (bad, True, WHY),
        ]
        assert await mark(house, bad, None) == epoch(bad)
        assert (await other.get(bad, INRELEASE)).served.snapshot == bad


async def test_a_time_between_two_snapshots_marks_the_one_that_answers(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path / "house", rows=(hamlet.row,)) as house:
        assert await mark(house, later(SECOND, 60)) == epoch(SECOND)
        assert (await house.get(SECOND, INRELEASE)).status == 410


async def test_equal_roots_on_both_sides_do_not_answer_for_a_marked_one(hamlet: Hamlet, tmp_path: Path) -> None:
    first, middle, last = (later(FIRST, turn * 6 * HOUR) for turn in range(3))
    async with House(tmp_path / "house", rows=(hamlet.row,)) as house:
        for when in (first, last):
            assert (await house.get(when, INRELEASE)).status == 200
        assert (await house.get(later(middle, 60), INRELEASE)).status == 200
        await mark(house, middle)
        assert (await house.get(middle, INRELEASE)).status == 410
        await mark(house, first)
        again = await house.get(later(first, 60), INRELEASE)
        assert again.status == 410, "its bracket begins with a bad one, and nothing stands before"


async def test_an_observation_is_marked_by_any_time_that_it_answers_for(vendor: House, present: Present) -> None:
    old = present.tree
    await observe(vendor)
    vendor.clock.leap(HOUR)
    present.publish()
    torn = await observe(vendor)
    vendor.clock.leap(HOUR)
    end = await observe(vendor)
    assert await mark(vendor, format_instant((torn + end) // 2)) == torn
    refused = await vendor.get(format_instant(torn), INRELEASE)
    assert (refused.status, WHY in refused.refusal.why) == (410, True)
    passed = await vendor.get(format_instant(torn + 60), INRELEASE)
    assert passed.status == 425, "the observation before it ends the record now"
    vendor.clock.leap(HOUR)
    present.publish()
    await observe(vendor)
    passed = await vendor.get(format_instant(torn + 60), INRELEASE)
    assert passed.data == old.files[INRELEASE].data
    assert f"{format_instant(torn)} is marked bad and was skipped" in passed.headers["X-Snapproxy-Note"]
    await mark(vendor, format_instant(torn), None)
    assert (await vendor.get(format_instant(torn + 60), INRELEASE)).data != old.files[INRELEASE].data


async def test_what_is_no_snapshot_cannot_be_marked(vendor: House, hamlet: Hamlet, tmp_path: Path) -> None:
    never = await times.mark_bad(vendor.app, "vendor", parse_time(FIRST), WHY)
    assert isinstance(never, Refusal)
    assert never.reason == "this file was never observed"
    async with House(tmp_path / "other", rows=(hamlet.row,), timeouts=PATIENT) as house:
        unmarked = await times.mark_bad(house.app, "debian", parse_time(SECOND), None)
        assert isinstance(unmarked, Refusal)
        assert unmarked.reason == f"{SECOND} was not marked bad by hand"


async def test_every_second_and_every_day_can_be_marked(tmp_path: Path) -> None:
    """Mark a second of an archive that has every second, or a day (also by its name) of one with a folder per day."""
    days = [f"2024/06/{day:02}" for day in range(1, 8)]
    db = "core/os/x86_64/core.db"
    tree = FixedTree({db: Content(b"x" * 100)}, ())
    with ArchiveServer(DatedService(dict.fromkeys(days, tree)), name="archive", address="127.0.0.6") as archive:
        dated = replace(next(row for row in BUILTIN if row.name == "archlinux"), snapshot=(archive.url,), mirrors=())
        ubuntu = next(row for row in BUILTIN if row.name == "ubuntu")
        async with House(tmp_path / "house", rows=(dated, ubuntu)) as house:
            listed = await times.timeline(
                house.app, "archlinux", epoch("20240601T000000Z"), epoch("20240608T000000Z") - 1
            )
            assert not isinstance(listed, Refusal)
            assert [format_day(each.first) for each in listed] == days
            sync = listed[3].first
            last_second = TimeSpec("2024/06/04", epoch("20240605T000000Z") - 1, Match.AT)
            assert await times.mark_bad(house.app, "archlinux", last_second, WHY) == sync
            assert WHY in (await house.get(format_instant(sync), db)).refusal.why
            native = TimeSpec("2024/06/04", last_second.instant, Match.EXACT, verbatim=True)
            assert isinstance(await house.app.executor.resolve(dated, native), Refusal)
            passed = await house.app.resolve("archlinux", format_instant(sync + 60))
            assert isinstance(passed, Resolved)
            assert (passed.snapshot, "marked bad" in passed.note) == ("2024/06/03", True)
            assert await mark(house, FIRST, row=1) == epoch(FIRST)
            assert isinstance(await house.app.resolve("ubuntu", FIRST), Refusal)
            assert isinstance(await house.app.resolve("ubuntu", later(FIRST, 1)), Resolved)
