"""Keeping windows of a timeline; deciding from parts of it gives the same result as from all of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapproxy.core.model import Instant, Match, NeedWindow, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.resolve import resolve_listed
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.core.timeline import DAWN, window_expires, window_is_settled
from tests.core.world import DAY, HOUR, NOW, ROW, World, at


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

    def test_an_unsettled_window_from_the_future_is_expired(self) -> None:
        """The end of what it shows is unknown, because the clock was ahead when it was requested."""
        assert window_expires(self.window(self.END, None), ROW, self.END - 1) == self.END - 1

    def test_an_ended_archive_has_no_later_snapshot_to_show(self) -> None:
        row = replace(ROW, frozen=True)
        assert window_is_settled(self.window(self.END, None), row, NOW)
        assert not window_is_settled(self.window(self.END - 1, None), row, NOW)


class TestStaleWindows:
    """While upstream is down, a window that has expired stands in: it must only ever lead to a refusal."""

    MAY = Window(at("20240501"), at("20240601"), (at("20240531"), at("20240531T060000Z")), asked=at("20240531T080000Z"))
    JUNE = Window(at("20240601"), at("20240701"), (at("20240601"), at("20240601T060000Z")), asked=NOW)

    def resolve(self, when: str) -> Resolved | Refusal:
        windows = {(each.start, each.end): each for each in (self.MAY, self.JUNE)}
        answer = resolve_listed(ROW, parse_time(when), windows, NOW)
        assert not isinstance(answer, NeedWindow)
        return answer

    def test_what_it_had_seen_is_still_answered(self) -> None:
        answer = self.resolve("20240531T040000Z")
        assert isinstance(answer, Resolved)
        assert answer.snapshot == "20240531T000000Z"
        assert self.resolve("20240531T060000Z.exact") == Resolved("20240531T060000Z", at("20240531T060000Z"))

    @pytest.mark.parametrize("suffix", ["", ".exact", ".nearest"])
    def test_what_passed_after_it_is_not_bridged_by_a_later_month(self, suffix: str) -> None:
        """Snapshots at noon and at six may well exist; the answer would change once upstream is back."""
        answer = self.resolve("20240531T200000Z" + suffix)
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.reason) == (
            425,
            "that time is later than the newest snapshot: use 20240531T060000Z",
        )

    def test_a_span_that_is_told_as_valid_ends_where_it_had_seen(self) -> None:
        answer = self.resolve("20240531T070000Z")
        assert isinstance(answer, Resolved)
        assert answer.valid == (at("20240531T060000Z"), self.MAY.asked)


Question = tuple[World, TimeSpec]
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
    match = draw(st.sampled_from([Match.AT, Match.AT, Match.EXACT, Match.NEAREST, Match.LATEST]))
    near = draw(st.sampled_from([*world.snapshots, world.now, DAWN]))
    instant = near + draw(st.sampled_from([0, 0, 1, -1, HOUR, DAY, -DAY, 10 * DAY, -50 * DAY, 500 * DAY]))
    return world, TimeSpec("t", None if match is Match.LATEST else instant, match)


def naive(world: World, when: TimeSpec) -> tuple[int, Instant | None]:
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
        ends_here = row.frozen and when.match is Match.AT and is_settled(before)
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
        assert (200, answer.instant, answer.snapshot) == (status, snapshot, format_instant(answer.instant))


@given(questions(), st.integers(0, 10**7))
def test_every_instant_of_a_valid_span_has_the_same_answer(question: Question, offset: int) -> None:
    world, when = question
    answer = world.resolve(when)
    if isinstance(answer, Refusal) or answer.valid is None:
        return
    start, end = answer.valid
    assert start <= (when.instant or world.now) <= end
    inside = start + offset % (end - start + 1)
    assert world.resolve(TimeSpec("t", inside, Match.AT)).snapshot == answer.snapshot


@given(questions())
def test_every_id_a_refusal_names_is_usable(question: Question) -> None:
    world, when = question
    answer = world.resolve(when)
    named = "" if isinstance(answer, Resolved) else answer.reason.partition(": use ")[2]
    if isinstance(answer, Resolved) or not named:
        return
    assert answer.hint == f"Request {named}."
    for word in named.split(" or "):
        assert world.resolve(parse_time(word)).snapshot == word


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
        assert format_instant(need.start)[6:] == "01T000000Z"
        assert format_instant(need.end)[6:] == "01T000000Z"
