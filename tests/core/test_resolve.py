"""Honest time: what settles a *when*, what is refused and with which words, and that asking ends.

The archive is simulated as what it truly held; the resolver learns of it only by the windows it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapproxy.core.model import LIVE, Archive, Instant, Match, NeedWindow, Refusal, Resolved, When, Window
from snapproxy.core.resolve import bracket, refuse_moving, resolve_any, resolve_listed
from snapproxy.core.timeline import DAWN, window_expires, window_is_settled
from snapproxy.core.when import parse, spell

HOUR, DAY = 3600, 86400
ROW = Archive(name="a", family="apt", history="snapshots")
ROUNDS = 8
Seen = tuple[int, str] | None


def at(text: str) -> Instant:
    instant = parse(text).instant
    assert instant is not None
    return instant


@dataclass
class World:
    """An archive, its true snapshots, and how its service tells of them."""

    snapshots: Sequence[Instant]
    now: Instant
    row: Archive = ROW
    redirects_only: bool = False
    asked: list[NeedWindow] = field(default_factory=list)

    def listing(self, need: NeedWindow) -> Window:
        told = sorted(each for each in self.snapshots if each <= self.now)
        inside = tuple(each for each in told if need.start <= each < need.end)
        after = next((each for each in told if need.end <= each <= need.end + 32 * DAY), None)
        return Window(need.start, need.end, inside, self.now, after)

    def redirect(self, need: NeedWindow) -> Window:
        assert need.around is not None
        assert need.around <= self.now
        newest = max((each for each in self.snapshots if each <= need.around), default=None)
        return (
            Window(DAWN, need.around + 1, (), self.now)
            if newest is None
            else Window(newest, need.around + 1, (newest,), self.now)
        )

    def resolve(self, when: When | str) -> Resolved | Refusal:
        when = parse(when) if isinstance(when, str) else when
        windows: dict[tuple[Instant, Instant], Window] = {}
        for _ in range(ROUNDS + 1):
            answer = resolve_listed(self.row, when, windows, self.now)
            if not isinstance(answer, NeedWindow):
                return answer
            assert answer.start < answer.end
            self.asked.append(answer)
            window = self.redirect(answer) if self.redirects_only else self.listing(answer)
            windows[window.start, window.end] = window
        raise AssertionError(f"still asking after {ROUNDS} rounds: {self.asked}")


MAY = [at("20240501") + 6 * HOUR * step for step in range(31 * 4)]  # to 20240531T180000Z
NOW = at("20240720T120000Z")


def steady(*, until: Instant = NOW, row: Archive = ROW, skip: Callable[[Instant], bool] = lambda _: False) -> World:
    """Six-hourly snapshots since March 2005."""
    every = range(at("20050312T060000Z"), until + 1, 6 * HOUR)
    return World([each for each in every if not skip(each)], NOW, row)


class TestHeld:
    def test_the_newest_snapshot_at_or_before_answers_until_the_next_one(self) -> None:
        answer = steady().resolve("20240601T070000Z")
        expected = at("20240601T060000Z")
        assert answer == Resolved("20240601T060000Z", expected, valid=(expected, expected + 6 * HOUR - 1))

    def test_an_instant_that_is_a_snapshot_needs_no_later_one(self) -> None:
        world = steady()
        assert world.resolve("20240601T060000Z") == Resolved("20240601T060000Z", at("20240601T060000Z"))
        assert len(world.asked) == 1

    def test_the_first_of_a_month_is_answered_from_the_month_before(self) -> None:
        world = World([*MAY, at("20240601T020000Z")], NOW)
        answer = world.resolve("20240601")
        assert (answer.snapshot, answer.valid) == ("20240531T180000Z", (MAY[-1], at("20240601T015959Z")))
        assert [(spell(need.start), spell(need.end)) for need in world.asked] == [
            ("20240601T000000Z", "20240701T000000Z"),
            ("20240501T000000Z", "20240601T000000Z"),
        ]

    def test_the_last_hour_of_a_month_is_answered_with_one_question(self) -> None:
        """What follows a window is told with it, so the next month need not be asked."""
        world = World([*MAY, at("20240601T020000Z")], NOW)
        assert world.resolve("20240531T230000Z").snapshot == "20240531T180000Z"
        assert len(world.asked) == 1

    def test_the_future_is_too_early(self) -> None:
        answer = steady().resolve("20240720T120001Z")
        assert answer == Refusal(
            425,
            "that time is in the future: use 20240720T060000Z",
            "By this machine's clock it is 20240720T120000Z.",
            "Ask for 20240720T060000Z.",
        )

    def test_later_than_the_newest_snapshot_is_too_early_for_nothing_proves_what_was_held(self) -> None:
        answer = World(MAY, NOW).resolve("20240601")
        assert answer.status == 425
        assert answer.reason == "that time is later than the newest snapshot: use 20240531T180000Z"
        assert "nothing proves yet what the archive held after it" in answer.why
        assert ".nearest" in answer.why
        assert answer.hint == "Ask for 20240531T180000Z."

    def test_a_snapshot_without_a_later_one_settles_with_age(self) -> None:
        young = World(MAY, MAY[-1] + ROW.settle_after - 1)
        answer = young.resolve(spell(MAY[-1]))
        assert answer.status == 425
        assert answer.reason == "that snapshot is not settled yet: use 20240531T120000Z"
        assert answer.why == "A snapshot is settled once a later one exists, or 24 hours after it was taken."
        old = World(MAY, MAY[-1] + ROW.settle_after)
        assert old.resolve(spell(MAY[-1])) == Resolved("20240531T180000Z", MAY[-1])

    def test_a_snapshot_with_a_later_one_is_settled_however_young(self) -> None:
        world = World(MAY, MAY[-1] + 1)
        assert world.resolve(spell(MAY[-2])).snapshot == spell(MAY[-2])
        assert world.resolve(spell(MAY[-2] + 5)).snapshot == spell(MAY[-2])

    def test_before_the_first_snapshot_is_gone(self) -> None:
        answer = steady().resolve("20050101")
        assert answer == Refusal(
            410,
            "that is before the archive's first snapshot: use 20050312T060000Z",
            "",
            "Ask for 20050312T060000Z.",
        )
        assert steady().resolve("19990101").reason == answer.reason

    def test_an_archive_that_has_recorded_nothing_has_nothing_to_offer(self) -> None:
        for when in ("20240601", "latest", "20240601.nearest", "20100101"):
            answer = World([], NOW).resolve(when)
            assert (answer.status, answer.reason) == (425, "the archive has no settled snapshot yet")

    def test_a_gap_longer_than_the_row_allows_is_gone_and_names_both_sides(self) -> None:
        answer = steady(skip=lambda each: at("20240602") <= each < at("20240605")).resolve("20240603")
        assert answer == Refusal(
            410,
            "that time is in a gap of the archive: use 20240601T180000Z or 20240605T000000Z",
            "Nothing tells what the archive held in between: 3 days, and at most 2 days is believed. "
            "A time that ends in .nearest takes the newest settled one before it.",
            "Ask for 20240601T180000Z or 20240605T000000Z.",
        )

    def test_a_gap_as_long_as_the_row_allows_is_answered(self) -> None:
        world = World([at("20240601"), at("20240603"), at("20240605T000001Z")], NOW)
        assert world.resolve("20240602").snapshot == "20240601T000000Z"
        assert world.resolve("20240604").status == 410
        assert (
            World(world.snapshots, NOW, replace(ROW, max_gap=3 * DAY)).resolve("20240604").snapshot
            == "20240603T000000Z"
        )

    @pytest.mark.parametrize("suffix", ["", ".exact"])
    def test_an_equal_id_inside_a_gap_is_still_fine(self, suffix: str) -> None:
        world = World([at("20240101"), at("20240601"), at("20240610")], NOW)
        assert world.resolve("20240601" + suffix).snapshot == "20240601T000000Z"

    def test_a_mirror_that_froze_is_never_answered_with_its_last_day(self) -> None:
        """snapshot-cloudflare stood still at 20240531T083821Z, and every image built afterwards got that day."""
        frozen_mirror = World([*MAY[:-2], at("20240531T083821Z")], NOW)
        for when in ("20240531T090000Z", "20240601", "20240720"):
            answer = frozen_mirror.resolve(when)
            assert (answer.status, "20240531T083821Z" in answer.reason) == (425, True)

    def test_an_ended_archives_last_snapshot_answers_for_every_later_instant(self) -> None:
        row = replace(ROW, frozen=True)
        answer = World(MAY, NOW, row).resolve("20240715")
        assert answer == Resolved("20240531T180000Z", MAY[-1], valid=(MAY[-1], NOW))
        assert World(MAY, NOW, row).resolve("20240720T120001Z").status == 425
        assert World(MAY, NOW, row).resolve("20240410").status == 410


class TestSuffixes:
    def test_exact_takes_only_a_snapshot_of_that_very_instant(self) -> None:
        assert steady().resolve("20240601T060000Z.exact").snapshot == "20240601T060000Z"
        answer = steady().resolve("20240601T060001Z.exact")
        assert (answer.status, answer.reason) == (
            410,
            "no snapshot bears that very instant: use 20240601T060000Z or 20240601T120000Z",
        )

    def test_nearest_takes_the_newest_settled_one_however_old_and_says_so(self) -> None:
        answer = World(MAY, NOW).resolve("20240715.nearest")
        assert answer.snapshot == "20240531T180000Z"
        assert answer.note == "20240531T180000Z is the newest settled snapshot at or before that time"
        assert steady().resolve("20240601T060000Z.nearest").note == ""

    def test_nearest_never_takes_an_unsettled_one(self) -> None:
        """SOURCE_DATE_EPOCH of a commit made an hour ago."""
        world = World(MAY, MAY[-1] + HOUR)
        assert world.resolve(f"{MAY[-1] + 1}.nearest").snapshot == spell(MAY[-2])

    def test_nearest_to_the_future_or_before_the_first_is_refused_as_any_time_is(self) -> None:
        assert steady().resolve("20240721.nearest").status == 425
        assert steady().resolve("20050101.nearest").status == 410

    def test_latest_is_the_newest_settled_one(self) -> None:
        assert World(MAY, MAY[-1] + HOUR).resolve("latest") == Resolved(spell(MAY[-2]), MAY[-2])
        assert World(MAY, NOW).resolve("latest") == Resolved(spell(MAY[-1]), MAY[-1])

    def test_latest_is_refused_where_no_capture_holds_it_and_names_its_id(self) -> None:
        refusal = refuse_moving(parse("latest"), Resolved(spell(MAY[-1]), MAY[-1]))
        assert refusal is not None
        assert (refusal.status, refusal.reason) == (425, "latest is not a fixed time: use 20240531T180000Z")
        assert refuse_moving(parse("20240531.nearest"), Resolved(spell(MAY[-1]), MAY[-1])) is None

    def test_live_asks_nothing(self) -> None:
        world = steady()
        assert world.resolve("live") == Resolved(LIVE, NOW)
        assert not world.asked


class TestBad:
    ROW = replace(ROW, bad=(at("20240601T060000Z"),))

    @pytest.mark.parametrize("suffix", ["", ".exact"])
    def test_a_snapshot_marked_bad_is_refused_by_its_id(self, suffix: str) -> None:
        answer = steady(row=self.ROW).resolve("20240601T060000Z" + suffix)
        assert answer == Refusal(
            410,
            "that snapshot is marked bad: use 20240601T000000Z or 20240601T120000Z",
            "The configuration marks it bad (the row's `bad`); locks that name it still replay.",
            "Ask for 20240601T000000Z or 20240601T120000Z.",
        )

    @pytest.mark.parametrize("suffix", ["", ".nearest"])
    def test_a_time_that_falls_back_past_a_bad_one_is_told(self, suffix: str) -> None:
        answer = steady(row=self.ROW).resolve("20240601T070000Z" + suffix)
        assert answer.snapshot == "20240601T000000Z"
        assert answer.note.startswith("20240601T060000Z is marked bad and was passed over")

    def test_times_beside_it_are_told_nothing(self) -> None:
        assert steady(row=self.ROW).resolve("20240601T050000Z").note == ""
        assert steady(row=self.ROW).resolve("20240601T130000Z").note == ""


class TestAnyInstant:
    ROW = replace(ROW, history="any-instant", settle_after=HOUR, first=at("20230301"))

    def resolve(self, when: str, row: Archive | None = None) -> Resolved | Refusal:
        return resolve_any(row or self.ROW, parse(when), NOW)

    @pytest.mark.parametrize(
        "when", ["20240601T123456Z", "20240601T123456Z.exact", "20240601T123456Z.nearest", "1717245296"]
    )
    def test_every_settled_second_is_its_own_snapshot(self, when: str) -> None:
        assert self.resolve(when) == Resolved("20240601T123456Z", at("20240601T123456Z"))

    def test_the_first_and_the_last_settled_second_are_in(self) -> None:
        assert self.resolve("20230301").snapshot == "20230301T000000Z"
        assert self.resolve("20240720T110000Z").snapshot == "20240720T110000Z"

    def test_before_the_record_is_gone(self) -> None:
        answer = self.resolve("20230228T235959Z")
        assert (answer.status, answer.reason) == (
            410,
            "that is before the archive's record begins: use 20230301T000000Z",
        )

    def test_the_last_hour_is_not_settled(self) -> None:
        answer = self.resolve("20240720T110001Z")
        assert (answer.status, answer.reason) == (425, "that time is not settled yet: use 20240720T110000Z")
        assert "60 minutes later" in answer.why

    def test_the_future_is_too_early(self) -> None:
        answer = self.resolve("20240720T120001Z")
        assert (answer.status, answer.reason) == (425, "that time is in the future: use 20240720T110000Z")

    def test_latest_and_unsettled_nearest_keep_to_the_hour(self) -> None:
        now = NOW + 1234
        assert resolve_any(self.ROW, parse("latest"), now) == Resolved("20240720T110000Z", at("20240720T110000Z"))
        answer = resolve_any(self.ROW, parse(f"{now}.nearest"), now)
        assert answer.snapshot == "20240720T110000Z"
        assert "newest settled" in answer.note

    def test_an_instant_marked_bad_is_refused_and_fallen_past(self) -> None:
        row = replace(self.ROW, bad=(at("20240601"), at("20240601") - 1))
        answer = self.resolve("20240601", row)
        assert (answer.status, answer.reason) == (410, "that instant is marked bad: use 20240531T235958Z")
        assert "passed over" in self.resolve("20240601.nearest", row).note

    def test_live_is_live(self) -> None:
        assert self.resolve("live") == Resolved(LIVE, NOW)

    @given(st.sampled_from(Match), st.integers(0, NOW * 2), st.integers(at("20230101"), NOW), st.booleans())
    def test_it_is_total(self, match: Match, instant: int, now: int, has_first: bool) -> None:
        when = When("t", None if match in {Match.LIVE, Match.LATEST} else instant, match)
        answer = resolve_any(self.ROW if has_first else replace(self.ROW, first=None), when, now)
        if isinstance(answer, Resolved):
            assert answer.instant <= (now if match is Match.LIVE else now - HOUR)


class TestBracket:
    def test_the_same_root_on_both_sides_makes_all_between_exact(self) -> None:
        for instant in (100, 150, 200):
            assert bracket((100, "aa"), (200, "aa"), instant) == Resolved(spell(100), 100, valid=(100, 200))

    @pytest.mark.parametrize(
        ("before", "after", "instant"),
        [
            ((100, "aa"), (200, "bb"), 150),
            ((100, "aa"), None, 150),
            (None, (200, "aa"), 150),
            ((100, ""), (200, ""), 150),
            ((100, "aa"), (200, "aa"), 99),
            ((100, "aa"), (200, "aa"), 201),
            ((200, "aa"), (100, "aa"), 150),
        ],
    )
    def test_anything_less_proves_nothing(self, before: Seen, after: Seen, instant: int) -> None:
        assert bracket(before, after, instant) is None


class TestWindows:
    START, END = at("20240601"), at("20240701")

    def window(self, asked: Instant, after: Instant | None) -> Window:
        return Window(self.START, self.END, (self.START,), asked, after)

    def test_a_window_is_kept_for_ever_once_it_is_over_and_followed(self) -> None:
        window = self.window(self.END + DAY, self.END)
        assert window_is_settled(window, ROW, NOW)
        assert window_expires(window, ROW, NOW) is None

    @pytest.mark.parametrize(("asked", "after"), [(END + DAY - 1, END), (END + 400 * DAY, None), (START + DAY, None)])
    def test_one_that_may_still_grow_is_believed_for_ten_minutes(self, asked: int, after: int | None) -> None:
        window = self.window(asked, after)
        assert not window_is_settled(window, ROW, asked)
        assert window_expires(window, ROW, asked) == asked + 600

    def test_an_answer_from_the_future_settles_nothing(self) -> None:
        """The machine's clock was set back since."""
        assert not window_is_settled(self.window(self.END + DAY, self.END), ROW, self.END)

    def test_an_ended_archive_has_no_later_snapshot_to_show(self) -> None:
        row = replace(ROW, frozen=True)
        assert window_is_settled(self.window(self.END, None), row, NOW)
        assert not window_is_settled(self.window(self.END - 1, None), row, NOW)


Question = tuple[World, When]
STEPS = st.sampled_from([1, HOUR, 6 * HOUR, DAY, 2 * DAY, 3 * DAY, 20 * DAY, 45 * DAY, 400 * DAY, 3000 * DAY])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    instant = DAWN + draw(st.integers(0, 3000 * DAY))
    snapshots = [instant]
    for step in draw(st.lists(STEPS, max_size=12)):
        instant += step
        snapshots.append(instant)
    bad = draw(st.lists(st.sampled_from(snapshots), max_size=2, unique=True))
    row = replace(
        ROW,
        bad=tuple(bad),
        frozen=draw(st.booleans()),
        max_gap=draw(st.sampled_from([DAY, 2 * DAY, 60 * DAY])),
        settle_after=draw(st.sampled_from([HOUR, DAY, 2 * DAY])),
    )
    now = instant + draw(st.sampled_from([0, 1, HOUR, DAY, 2 * DAY, 40 * DAY, 800 * DAY]))
    return World(snapshots, now, row)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    world = draw(worlds())
    match = draw(st.sampled_from([Match.HELD, Match.HELD, Match.EXACT, Match.NEAREST, Match.LATEST]))
    near = draw(st.sampled_from([*world.snapshots, world.now, DAWN]))
    instant = near + draw(st.sampled_from([0, 0, 1, -1, HOUR, DAY, -DAY, 10 * DAY, -50 * DAY, 500 * DAY]))
    return world, When("t", None if match is Match.LATEST else instant, match)


def naive(world: World, when: When) -> tuple[int, Instant | None]:
    """Decide with the whole truth in hand: status 200 and the snapshot, or the status of the refusal."""
    row, now = world.row, world.now
    good = [each for each in world.snapshots if each not in row.bad and each <= now]
    instant = now if when.instant is None else when.instant
    if instant > now:
        return 425, None

    def is_settled(each: Instant) -> bool:
        return now - each >= row.settle_after or any(later > each for later in good)

    before = max((each for each in good if each <= instant), default=None)
    after = min((each for each in good if each > instant), default=None)
    if when.match in {Match.NEAREST, Match.LATEST}:
        usable = max((each for each in good if each <= instant and is_settled(each)), default=None)
        if usable is not None:
            return 200, usable
        return (410, None) if after is not None and now - after >= row.settle_after else (425, None)
    if before is None:
        return (410, None) if after is not None and now - after >= row.settle_after else (425, None)
    if before == instant:
        return (200, before) if is_settled(before) else (425, None)
    if instant in row.bad or (when.match is Match.EXACT and after is not None):
        return 410, None
    if after is None:
        ends_here = row.frozen and when.match is Match.HELD and is_settled(before)
        return (200, before) if ends_here else (425, None)
    return (200, before) if after - before <= row.max_gap else (410, None)


@settings(max_examples=400)
@given(questions(), st.booleans())
def test_what_is_learnt_by_asking_decides_as_the_whole_truth_does(question: Question, redirects_only: bool) -> None:
    world, when = question
    world.redirects_only = redirects_only
    status, snapshot = naive(world, when)
    answer = world.resolve(when)
    if isinstance(answer, Refusal):
        assert (answer.status, None) == (status, snapshot)
        assert len(answer.reason) <= 80
        assert answer.reason.isascii()
    else:
        assert (200, answer.instant, answer.snapshot) == (status, snapshot, spell(answer.instant))


@given(questions(), st.integers(0, 10**7))
def test_every_instant_of_a_valid_span_has_the_same_answer(question: Question, offset: int) -> None:
    world, when = question
    answer = world.resolve(when)
    if isinstance(answer, Refusal) or answer.valid is None:
        return
    start, end = answer.valid
    assert start <= (when.instant or world.now) <= end
    inside = start + offset % (end - start + 1)
    assert world.resolve(When("t", inside, Match.HELD)).snapshot == answer.snapshot


@given(questions())
def test_every_id_a_refusal_names_is_usable(question: Question) -> None:
    world, when = question
    answer = world.resolve(when)
    if isinstance(answer, Resolved) or not answer.hint:
        return
    for word in answer.hint.removeprefix("Ask for ").removesuffix(".").split(" or "):
        assert world.resolve(parse(word)).snapshot == word


@given(
    questions(),
    st.lists(st.tuples(st.integers(0, 2 * 10**9), st.integers(0, 10**8), st.lists(st.integers(0, 2 * 10**9)))),
)
def test_windows_of_any_shape_never_raise(question: Question, shapes: list[tuple[int, int, list[int]]]) -> None:
    world, when = question
    windows = {
        (start, start + length): Window(start, start + length, tuple(sorted(told)), world.now)
        for start, length, told in shapes
    }
    assert resolve_listed(world.row, when, windows, world.now) is not None


def test_windows_follow_the_calendar_so_that_everybody_shares_them() -> None:
    world = World([at("20080307T120000Z")], NOW)
    world.resolve("20240615")
    world.resolve("20080101")
    for need in world.asked:
        assert spell(need.start)[6:] == "01T000000Z"
        assert spell(need.end)[6:] == "01T000000Z"
