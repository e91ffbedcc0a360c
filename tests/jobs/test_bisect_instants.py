"""The instants of a bisection: every usable snapshot once, in order, of all archives."""

from __future__ import annotations

import pytest

from snapproxy.jobs.bisect_instants import MOST_INSTANTS, STEP, instants_between
from snapproxy.jobs.timeline import TimelineEntry


def snapshot(at: int, **more: bool) -> TimelineEntry:
    return TimelineEntry(str(at), at, at, **{"is_settled": True, **more})


def test_the_snapshots_of_several_archives_follow_the_first_end() -> None:
    entries = [snapshot(20), snapshot(40), snapshot(30), snapshot(20), snapshot(5), snapshot(60)]
    assert instants_between(entries, 10, 50) == [10, 20, 30, 40]


def test_a_snapshot_at_an_end_counts_once() -> None:
    assert instants_between([snapshot(10), snapshot(50)], 10, 50) == [10, 50]


def test_refused_snapshots_are_left_out() -> None:
    assert instants_between([snapshot(20, is_bad=True), snapshot(30, is_settled=False)], 10, 50) == [10]


def test_a_span_of_any_second_is_tested_by_the_hour() -> None:
    span = TimelineEntry("x", 100, 3 * STEP + 50, is_settled=True)
    assert instants_between([span], 100, 3 * STEP + 50) == [100, STEP, 2 * STEP, 3 * STEP, 3 * STEP + 50]


def test_an_observed_state_is_tested_where_it_begins() -> None:
    span = TimelineEntry("x", 100, 3 * STEP, is_settled=True, root="dists/x/InRelease")
    assert instants_between([span], 50, 4 * STEP) == [50, 100]


def test_too_many_are_refused() -> None:
    span = TimelineEntry("x", 0, STEP * (MOST_INSTANTS + 1), is_settled=True)
    with pytest.raises(ValueError, match="more than 200000 snapshots"):
        instants_between([span], 0, STEP * (MOST_INSTANTS + 1))
