"""Timelines with the whole wiring, against the simulated snapshot service."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snapproxy.core.model import Refusal, Resolved
from tests.fakes.archive_server import Request
from tests.fakes.content import Content, epoch, stamp
from tests.fakes.faults import Fault, Hold, Html, Replace, Status
from tests.fakes.hamlet import INRELEASE, Edition
from tests.fakes.house import PATIENT, House
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.present import Present

DAY = 86400
TEN_MINUTES = 601.0
JUNE = [f"202406{day:02}T1{day % 10}0500Z" for day in range(3, 13)]

pytestmark = pytest.mark.usefixtures("watchdog")


@pytest.fixture(scope="module")
def archive(edition: Edition) -> Iterator[Present]:
    """An archive with four dumps a day from 2024-06-02 to 2024-07-03, all of one state."""
    archive = Present(edition.key)
    for day in range(1, 32):
        for hour in (0, 6, 12, 18):
            archive.timeline.publish(stamp(epoch("20240602T000000Z") + day * DAY + hour * 3600), archive.tree)
    yield archive
    archive.close()


@pytest.fixture
def june(archive: Present) -> Present:
    archive.reset()
    return archive


def at(when: str) -> LeapingClock:
    """Return a clock that is set to `when`."""
    clock = LeapingClock()
    clock.leap(epoch(when) - clock.time())
    return clock


def questions(archive: Present) -> list[Request]:
    return archive.log.requests("/mr/timestamp/")


def folders(archive: Present) -> list[str]:
    found = (re.fullmatch(r"/archive/debian/([^/]+)/", each.path) for each in archive.log.requests(service="snapshot"))
    return [match[1] for match in found if match]


async def resolved(house: House, when: str) -> str:
    answer = await house.app.resolve("debian", when)
    assert isinstance(answer, Resolved), answer
    return answer.snapshot


async def test_ten_instants_of_one_month_cost_one_question(june: Present, tmp_path: Path) -> None:
    async with House(tmp_path, rows=(june.row,)) as house:
        answers = await asyncio.gather(*(resolved(house, when) for when in JUNE))
        assert [answer[:8] for answer in answers] == [when[:8] for when in JUNE]
    assert len(questions(june)) == 1, [each.path for each in questions(june)]
    assert folders(june) == []


async def test_a_settled_window_is_kept_for_ever(june: Present, tmp_path: Path) -> None:
    async with House(tmp_path, rows=(june.row,)) as house:
        await resolved(house, JUNE[0])
    june.reset()
    async with House(tmp_path, rows=(june.row,)) as house:
        house.clock.leap(3000 * DAY)
        assert (await resolved(house, JUNE[5]))[:8] == JUNE[5][:8]
    assert june.log.requests() == []


async def test_an_unsettled_window_is_asked_for_again_after_ten_minutes(june: Present, tmp_path: Path) -> None:
    async with House(tmp_path, rows=(june.row,), clock=at("20240620T090000Z")) as house:
        await resolved(house, JUNE[0])
        house.clock.leap(590)
        await resolved(house, JUNE[1])
        assert len(questions(june)) == 1
        house.clock.leap(TEN_MINUTES - 590)
        await resolved(house, JUNE[2])
        assert len(questions(june)) == 2


async def test_a_stale_window_stands_in_while_upstream_is_down(june: Present, tmp_path: Path) -> None:
    async with House(tmp_path, rows=(june.row,), clock=at("20240620T090000Z"), patience=1.0) as house:
        first = await resolved(house, JUNE[0])
        house.clock.leap(TEN_MINUTES)
        with june.snapshot.refusing():
            assert await resolved(house, JUNE[0]) == first


@pytest.mark.parametrize(
    "fault",
    [Status(404), Html(), Replace(Content(b'{"result": {"debian": ["yesterday"]}}')), Replace(Content(b"\0\xff{"))],
    ids=["404", "a web page", "other ids", "garbage"],
)
async def test_where_the_listing_fails_a_folder_tells_the_snapshot(june: Present, tmp_path: Path, fault: Fault) -> None:
    june.snapshot.fault("/mr/timestamp/", fault)
    async with House(tmp_path, rows=(june.row,)) as house:
        assert await resolved(house, "20240610T070000Z") == "20240610T060000Z"
        asked = len(folders(june))
        assert asked
        assert await resolved(house, "20240610T070000Z") == "20240610T060000Z"
        assert len(folders(june)) == asked, "what a folder told is remembered"
        assert (await house.get("20240610T070000Z", INRELEASE)).status == 200


async def test_two_instants_at_once_are_each_told_by_their_own_folder(june: Present, tmp_path: Path) -> None:
    june.snapshot.fault("/mr/timestamp/", Status(404))
    async with House(tmp_path, rows=(june.row,)) as house:
        answers = await asyncio.gather(*(resolved(house, f"202406{day}T070000Z") for day in (10, 12, 14)))
    assert answers == ["20240610T060000Z", "20240612T060000Z", "20240614T060000Z"]


async def test_what_folders_told_does_not_pile_up(june: Present, tmp_path: Path) -> None:
    june.snapshot.fault("/mr/timestamp/", Status(404))
    async with House(tmp_path, rows=(june.row,)) as house:
        for day in (10, 12, 14):
            await resolved(house, f"202406{day}T070000Z")
            house.clock.leap(TEN_MINUTES)
        row = house.rows[0]
        assert len(house.app.executor._planner._facts.at_hand(row).facts) == 0
        assert sum(map(len, house.app.executor._planner._facts._timelines._windows.values())) <= 4


async def test_two_processes_ask_one_question(june: Present, tmp_path: Path) -> None:
    held = june.snapshot.fault("/mr/timestamp/", Hold(after=None), times=1)
    options: dict[str, Any] = {"folder": tmp_path, "rows": (june.row,), "timeouts": PATIENT}
    async with House(**options) as one, House(**options) as other:
        context = [asyncio.create_task(resolved(house, when)) for house in (one, other) for when in JUNE[:3]]
        await asyncio.to_thread(held.reached.wait, 10)
        await asyncio.sleep(0.3)
        assert len(questions(june)) == 1
        held.release()
        answers = await asyncio.gather(*context)
        assert answers[:3] == answers[3:]
        assert len(questions(june)) == 1
        late = await resolved(other, JUNE[9])
        assert late == await resolved(one, JUNE[9])
    assert len(questions(june)) == 1


async def test_a_process_that_comes_as_the_question_ends_asks_none(
    june: Present, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its read of the catalog and its turn, the other process has stored the answer."""
    options: dict[str, Any] = {"folder": tmp_path, "rows": (june.row,), "timeouts": PATIENT}
    async with House(**options) as one, House(**options) as other:
        await resolved(one, JUNE[0])
        timelines = other.app.executor._planner._facts._timelines
        stored, looks = timelines._stored, itertools.count()
        monkeypatch.setattr(timelines, "_stored", lambda *given: stored(*given) if next(looks) else None)
        assert (await resolved(other, JUNE[1]))[:8] == JUNE[1][:8]
    assert len(questions(june)) == 1


async def test_a_question_under_way_does_not_outlive_the_proxy(june: Present, tmp_path: Path) -> None:
    """It would read a closed catalog."""
    held = june.snapshot.fault("/mr/timestamp/", Hold(after=None))
    async with House(tmp_path, rows=(june.row,)) as house:
        context = asyncio.create_task(house.app.resolve("debian", JUNE[0]))
        await asyncio.to_thread(held.reached.wait, 10)
        context.cancel()
    held.release()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_latest_is_refused_and_names_the_id_to_use(june: Present, tmp_path: Path) -> None:
    async with House(tmp_path, rows=(june.row,), clock=at("20240704T090000Z")) as house:
        answer = await house.ask("latest", INRELEASE)
        assert isinstance(answer, Refusal)
        assert answer.status == 425
        named = await resolved(house, "latest")
        assert named in f"{answer.why} {answer.hint}"
        assert (await house.get(named, INRELEASE)).status == 200
