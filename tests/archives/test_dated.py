"""One folder a day: `lastsync` if it exists, missing days skipped in a gap, young days refused, verbatim folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import TIMELESS, Instant, Match, NeedWindow, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.time_spec import format_day, format_instant, parse_time, read_day
from snapproxy.core.timeline import window_expires, window_is_settled
from tests.archives.contract import NOW, HistoryContract, ServicePlayer, settle

HISTORY = HISTORIES["dated"]
ROW = next(row for row in BUILTIN if row.name == "archlinux")
BASE = ROW.snapshot[0]
DAY = 86400
SYNC = 12 * 3600 + 42 * 60 + 5
NOT_FOUND = TimelineAnswer(404, "", b"")
LISTING = b'<html><a href="../">../</a><a href="core/">core/</a></html>'


def at(text: str) -> Instant:
    instant = parse_time(text).instant
    assert instant is not None
    return instant


def tree(days: Mapping[str, int | None]) -> ServicePlayer:
    """Answer as the archive's server does: each day's lastsync, or (None) a folder without one."""

    def play(url: str) -> TimelineAnswer:
        path = urlsplit(url).path
        day, sync = path[len("/repos/") :][:10], path.endswith("/lastsync")
        if day not in days:
            return NOT_FOUND
        instant = days[day]
        if sync:
            return NOT_FOUND if instant is None else TimelineAnswer(200, "", f"{instant}\n".encode())
        link = b"" if instant is None else b'<a href="lastsync">lastsync</a>'
        return TimelineAnswer(200, "", LISTING + link)

    return play


def daily(*, skip: tuple[str, ...] = (), days: int = 100) -> dict[str, int | None]:
    starts = [NOW - NOW % DAY - number * DAY for number in range(days)]
    return {format_day(each): each + SYNC for each in starts if each + SYNC <= NOW and format_day(each) not in skip}


def ask(when: str, days: Mapping[str, int | None], now: Instant = NOW) -> Resolved | Refusal:
    return settle(HISTORY, ROW, when, tree(days), now)


class TestDated(HistoryContract):
    history = HISTORY
    row = ROW
    snapshots = tuple(sorted(each for each in daily().values() if each is not None))
    telling = frozenset({404})

    def player(self) -> ServicePlayer:
        return tree(daily())


def test_a_day_s_folder_answers_from_its_synchronisation_on_and_not_before() -> None:
    for when, day in [
        ("20240601T124204Z", "2024/05/31"),
        ("20240601T124205Z", "2024/06/01"),
        ("20240601", "2024/05/31"),
    ]:
        answer = ask(when, daily())
        assert isinstance(answer, Resolved), when
        assert answer.snapshot == day
        assert answer.instant == at(f"{day.replace('/', '')}T000000Z") + SYNC


def test_a_time_costs_two_questions() -> None:
    asked = []
    play = tree(daily())
    settle(
        HISTORY,
        ROW,
        "20240601T200000Z",
        lambda url: asked.append(url) or play(url),  # type: ignore[func-returns-value]
    )
    assert asked == [f"{BASE}/repos/2024/06/01/lastsync", f"{BASE}/repos/2024/06/03/lastsync"]


def test_one_missing_day_is_walked_over() -> None:
    answer = ask("20240602T200000Z", daily(skip=("2024/06/02",)))
    assert isinstance(answer, Resolved)
    assert answer.snapshot == "2024/06/01"
    assert answer.valid is not None
    assert format_instant(answer.valid[1]) == "20240603T124204Z"


@pytest.mark.parametrize("length", [2, 3, 20])
def test_more_missing_days_are_a_gap(length: int) -> None:
    days = tuple(f"2024/06/{day:02}" for day in range(2, 2 + length))
    for day in (days[0], days[-1]):
        answer = ask(f"{day.replace('/', '')}T200000Z", daily(skip=days))
        assert isinstance(answer, Refusal)
        assert answer.status == 410
        assert "gap" in answer.reason


def test_a_whole_outage_ends_in_a_refusal_and_not_in_endless_questions() -> None:
    for when in ("20240601", "latest", "20240601.nearest", "20240601.exact"):
        assert isinstance(ask(when, {}), Refusal)


@pytest.mark.parametrize("when", ["20240719", "20240720T000000Z", "20240718T124205Z.exact", "20240719T200000Z"])
def test_what_the_last_two_days_would_answer_is_too_early(when: str) -> None:
    answer = ask(when, daily(), at("20240720T123000Z"))
    if isinstance(answer, Resolved):
        assert answer.instant <= at("20240718T123000Z")
    else:
        assert answer.status == 425
        usable = ask(answer.reason.rpartition(" ")[2], daily(), at("20240720T123000Z"))
        assert isinstance(usable, Resolved)
        assert usable.snapshot == "2024/07/17"


def test_yesterday_s_folder_is_not_settled_by_today_s() -> None:
    days = daily() | {"2024/07/20": at("20240720") + SYNC}
    answer = ask("20240719T200000Z", days, at("20240720T200000Z"))
    assert isinstance(answer, Refusal)
    assert answer.status == 425
    assert answer.reason == "that day is not settled yet: use 20240718T124205Z"


def test_latest_is_the_newest_settled_day() -> None:
    answer = ask("latest", daily(), at("20240720T200000Z"))
    assert isinstance(answer, Resolved)
    assert answer.snapshot == "2024/07/18"


def test_a_folder_without_its_instant_counts_from_its_last_second() -> None:
    days = daily() | {"2024/06/02": None}
    one, other = ask("20240602T235958Z", days), ask("20240602T235959Z", days)
    assert isinstance(one, Resolved)
    assert isinstance(other, Resolved)
    assert (one.snapshot, other.snapshot) == ("2024/06/01", "2024/06/02")


def test_a_folder_whose_instant_could_not_be_had_tells_nothing() -> None:
    need = NeedWindow(at("20240602"), at("20240603"), at("20240602"))
    answer = TimelineAnswer(200, "", LISTING + b'<a href="lastsync">lastsync</a>')
    assert HISTORY.read_window(ROW, need, f"{BASE}/repos/2024/06/02/", answer, NOW) is None


def test_a_lagging_mirror_counts_from_the_day_it_was_copied_and_a_late_one_not_at_all() -> None:
    lagging = ask("20240602T000000Z", daily() | {"2024/06/02": at("20240530T100000Z")})
    assert isinstance(lagging, Resolved)
    assert lagging.snapshot == "2024/06/02"
    late = ask("20240602T235959Z", daily() | {"2024/06/02": at("20240603T000100Z")})
    assert isinstance(late, Resolved)
    assert late.snapshot == "2024/06/01"


def test_an_old_day_is_kept_for_ever_and_a_young_or_missing_one_is_asked_for_again() -> None:
    def window(day: str, answer: TimelineAnswer) -> Window:
        start = at(day)
        path = "lastsync" if answer.status == 200 else ""
        url = f"{BASE}/repos/{format_day(start)}/{path}"
        read = HISTORY.read_window(ROW, NeedWindow(start, start + DAY, start), url, answer, NOW)
        assert read is not None
        return read

    sync = TimelineAnswer(200, "", str(at("20240601") + SYNC).encode())
    assert window_is_settled(window("20240601", sync), ROW, NOW)
    assert window_expires(window("20240601", NOT_FOUND), ROW, NOW) is not None
    young = TimelineAnswer(200, "", str(at("20240719") + SYNC).encode())
    assert window_expires(window("20240719", young), ROW, NOW) is not None


def test_before_the_record_is_refused_with_a_usable_time() -> None:
    answer = ask("20130501", {"2013/09/01": at("20130901") + SYNC, "2013/09/02": at("20130902") + SYNC})
    assert isinstance(answer, Refusal)
    assert answer.reason == "that is before the archive's record begins: use 20130902T000000Z"


@given(
    skip=st.sets(st.integers(0, 25)),
    age=st.integers(-1, 20 * DAY),
    form=st.sampled_from(["{}", "{}.nearest", "{}.exact", "latest"]),
    hour=st.integers(0, DAY),
)
def test_nothing_takes_more_questions_than_a_plan_has_rounds_for(
    skip: set[int], age: int, form: str, hour: int
) -> None:
    """`settle` fails beyond eight."""
    starts = [NOW - NOW % DAY - number * DAY for number in range(40)]
    days = {format_day(each): each + SYNC for number, each in enumerate(starts) if number not in skip}
    now = NOW + hour
    answer = ask(form.format(format_instant(now - age)), {day: sync for day, sync in days.items() if sync <= now}, now)
    if isinstance(answer, Resolved):
        assert answer.instant <= min(now - age if form != "latest" else now, now - ROW.settle_after)


@pytest.mark.parametrize("max_gap_days", [2, 5, 30, 400])
@pytest.mark.parametrize("missing_days", [1, 4, 29, 399, 800])
def test_the_questions_about_missing_days_follow_max_gap(max_gap_days: int, missing_days: int) -> None:
    """A gap of up to `max_gap` is answered with the day before it, a longer one is refused, whatever the settings."""
    row, ended = replace(ROW, max_gap=max_gap_days * DAY), NOW - 900 * DAY
    starts = [ended - ended % DAY - number * DAY for number in range(50)]
    starts += [starts[0] + (missing_days + 1 + number) * DAY for number in range(50)]
    play = tree({format_day(each): each + SYNC for each in starts})
    before, after = starts[0] + SYNC, starts[50] + SYNC
    for instant in (before + DAY, (before + after) // 2, after - 1):
        windows: dict[tuple[Instant, Instant], Window] = {}
        when = parse_time(format_instant(instant))
        while isinstance(answer := HISTORY.resolve(row, when, windows, NOW), NeedWindow):
            window = next(
                found
                for url in HISTORY.timeline_urls(row, BASE, answer)
                if (found := HISTORY.read_window(row, answer, url, play(url), NOW))
            )
            windows[window.start, window.end] = window
            assert len(windows) <= HISTORY.max_windows(row)
        if missing_days < max_gap_days:
            assert isinstance(answer, Resolved)
            assert answer.instant == before
        else:
            assert isinstance(answer, Refusal)
            assert answer.status == 410


class TestVerbatim:
    def folder(self, text: str, match: Match = Match.EXACT, now: Instant = NOW) -> Resolved | Refusal | NeedWindow:
        return HISTORY.resolve(ROW, TimeSpec(text, read_day(text), match, verbatim=True), {}, now)

    def test_a_folder_is_taken_at_its_word_without_a_question(self) -> None:
        assert self.folder("2024/05/31") == Resolved("2024/05/31", at("20240531T235959Z"))

    @pytest.mark.parametrize("day", ["2024/07/20", "2024/07/19", "2024/07/21", "2031/01/01"])
    def test_today_s_and_yesterday_s_are_not_settled(self, day: str) -> None:
        answer = self.folder(day)
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.reason) == (425, "that day is not settled yet: use /repos/2024/07/17")

    def test_the_day_before_yesterday_is(self) -> None:
        assert isinstance(self.folder("2024/07/18"), Resolved)

    @pytest.mark.parametrize("word", ["last", "week", "month"])
    def test_moving_folders_are_refused_with_one_that_stands(self, word: str) -> None:
        answer = self.folder(word, Match.LATEST)
        assert isinstance(answer, Refusal)
        assert answer.reason == "that folder is not a fixed time: use /repos/2024/07/17"

    def test_a_bad_day_is_refused(self) -> None:
        when = TimeSpec("2024/05/31", read_day("2024/05/31"), Match.EXACT, verbatim=True)
        answer = HISTORY.resolve(replace(ROW, bad=(at("20240531T124205Z"),)), when, {}, NOW)
        assert isinstance(answer, Refusal)
        assert answer.status == 410

    def test_what_belongs_to_no_day_is_there_at_every_time(self) -> None:
        assert self.folder("packages") == Resolved(TIMELESS, 0)


@pytest.mark.parametrize(
    ("path", "timeless"),
    [
        ("core/os/x86_64/pacman-6.1.0-3-x86_64.pkg.tar.zst", "packages/p/pacman/pacman-6.1.0-3-x86_64.pkg.tar.zst"),
        ("packages/.all/gtk+-2:1.2-1-any.pkg.tar.xz.sig", "packages/g/gtk+/gtk+-2:1.2-1-any.pkg.tar.xz.sig"),
        ("a/R-4-1-x86_64.pkg.tar.zst", "packages/r/R/R-4-1-x86_64.pkg.tar.zst"),
        ("core/os/x86_64/core.db", None),
        ("core/os/x86_64/core.db.sig", None),
        ("iso/2024.06.01/x.iso", None),
        ("x.pkg.tar.zst", None),
    ],
)
def test_a_package_is_one_thing_under_every_path(path: str, timeless: str | None) -> None:
    assert HISTORY.timeless(path) == timeless
    assert timeless is None or HISTORY.timeless(timeless) == timeless


def test_addresses() -> None:
    assert HISTORY.url(ROW, BASE, "2024/05/31", "a/os/b/c+d.db") == f"{BASE}/repos/2024/05/31/a/os/b/c%2Bd.db"
    assert HISTORY.url(ROW, BASE, TIMELESS, "packages/c/c/c.pkg.tar") == f"{BASE}/packages/c/c/c.pkg.tar"
    assert HISTORY.service_url(BASE, "/packages/.all/index.0.xz") == f"{BASE}/packages/.all/index.0.xz"
