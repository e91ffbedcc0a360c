"""One folder a day with a list of days: complete like any other list, each day counted from its last second."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.archives import HISTORIES
from snapproxy.archives.dated_addresses import DatedSettings
from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import Archive, Match, NeedWindow, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.time_spec import format_day, read_day
from tests.archives.contract import NOW, HistoryContract, ServicePlayer, settle

HISTORY = HISTORIES["dated"]
BASE = "https://download.example"
DAY = 86400
ROW = Archive(
    name="rolling",
    family="rpm",
    history="dated",
    snapshot=(BASE,),
    history_settings=DatedSettings(folder="history/YYYYMMDD/rolling", days="history/list"),
    max_gap=7 * DAY,
    settle_after=2 * DAY,
)
ENDS = tuple(range(NOW - NOW % DAY - 99 * DAY - 1, NOW, DAY))


def a_list(ends: tuple[int, ...]) -> ServicePlayer:
    """Tell the days newest first, as the archive does."""

    def play(url: str) -> TimelineAnswer:
        assert url == f"{BASE}/history/list"
        lines = [f"{format_day(each).replace('/', '')}\n" for each in reversed(ends)]
        return TimelineAnswer(200, "", "".join(lines).encode())

    return play


def ask(when: str, *days: str) -> Resolved | Refusal:
    ends = [read_day(day) for day in days]
    return settle(HISTORY, ROW, when, a_list(tuple(each for each in ends if each is not None)))


class TestDatedByList(HistoryContract):
    history = HISTORY
    row = ROW
    snapshots = ENDS

    def player(self) -> ServicePlayer:
        return a_list(ENDS)


def test_a_day_counts_from_its_last_second() -> None:
    days = ("2024/05/30", "2024/06/01", "2024/06/04")
    for when, day in [
        ("20240601", "2024/05/30"),
        ("20240601T235958Z", "2024/05/30"),
        ("20240601T235959Z", "2024/06/01"),
        ("20240604T120000Z", "2024/06/01"),
    ]:
        answer = ask(when, *days)
        assert isinstance(answer, Resolved), when
        assert answer.snapshot == day


def test_one_list_answers() -> None:
    asked = []
    play = a_list(ENDS)
    settle(
        HISTORY,
        ROW,
        "20240615T120000Z",
        lambda url: asked.append(url) or play(url),  # type: ignore[func-returns-value]
    )
    assert asked == [f"{BASE}/history/list"]


def test_a_later_day_settles_the_one_before_it_and_nothing_settles_what_follows_the_last() -> None:
    assert isinstance(ask("20240719T000000Z", "2024/07/18", "2024/07/19"), Resolved)
    answer = ask("20240716", "2024/07/12", "2024/07/13")
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.reason) == (
        425,
        "that time is later than the newest snapshot: use 20240713T235959Z",
    )


def test_a_day_that_is_not_over_is_not_counted() -> None:
    answer = ask("latest", "2024/07/17", "2024/07/20")
    assert isinstance(answer, Resolved)
    assert answer.snapshot == "2024/07/17"


def test_days_that_were_given_up_are_gone_and_a_long_pause_is_a_gap() -> None:
    before = ask("20240601", "2024/06/10", "2024/06/11")
    assert isinstance(before, Refusal)
    assert (before.status, before.reason.rpartition(" ")[2]) == (410, "20240610T235959Z")
    pause = ask("20240615", "2024/06/10", "2024/06/18")
    assert isinstance(pause, Refusal)
    assert "gap" in pause.reason


@pytest.mark.parametrize("body", ["20240601 20240631", "20240601\n404 page", "2024-06-01", "latest", "202406011"])
def test_what_is_no_list_of_days_is_made_out_as_nothing(body: str) -> None:
    need = NeedWindow(ENDS[0], ENDS[9], ENDS[5])
    assert HISTORY.read_window(ROW, need, f"{BASE}/history/list", TimelineAnswer(200, "", body.encode()), NOW) is None


def test_days_are_listed_as_their_folders_are_spelt() -> None:
    row = replace(ROW, history_settings=DatedSettings(folder="days/YYYY-MM-DD/x", days="days/list"))
    need = NeedWindow(ENDS[0], NOW, NOW)
    for body, told in ((b"2024-06-01\n2024-05-31\n", 2), (b"2024-06-01/\n", None), (b"20240601\n", None)):
        window = HISTORY.read_window(row, need, f"{BASE}/days/list", TimelineAnswer(200, "", body), NOW)
        assert (None if window is None else len(window.instants)) == told


def test_a_stretch_of_the_list_is_proved_by_the_day_behind_it() -> None:
    need = NeedWindow(ENDS[3], ENDS[5], ENDS[3])
    window = HISTORY.read_window(ROW, need, f"{BASE}/history/list", a_list(ENDS)(f"{BASE}/history/list"), NOW)
    assert window == Window(ENDS[3], ENDS[5], ENDS[3:5], asked=NOW, after=ENDS[5])


def test_a_folder_is_taken_at_its_word_and_spelt_as_the_archive_spells_it() -> None:
    when = TimeSpec("2024/05/31", read_day("2024/05/31"), Match.EXACT, verbatim=True)
    assert HISTORY.resolve(ROW, when, {}, NOW) == Resolved("2024/05/31", when.instant or 0)
    young = HISTORY.resolve(ROW, replace(when, instant=read_day("2024/07/20")), {}, NOW)
    assert isinstance(young, Refusal)
    assert young.reason == "that day is not settled yet: use /history/20240717/rolling"
    url = HISTORY.url(ROW, BASE, "2024/05/31", "repo/oss/x86_64/a+b.rpm")
    assert url == f"{BASE}/history/20240531/rolling/repo/oss/x86_64/a%2Bb.rpm"
