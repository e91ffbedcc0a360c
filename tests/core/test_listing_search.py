"""The search for the snapshots that list all packages, with few comparisons."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.listing_search import MOST_UNANSWERED, Comparison, SnapshotAgreement, agreement, next_index

COUNT = 5000


def search(count: int, start: int, compare) -> dict[int, Comparison]:
    """Compare until the search ends."""
    known: dict[int, Comparison] = {}
    while (index := next_index(count, known, start)) is not None:
        assert 0 <= index < count
        assert index not in known
        known[index] = compare(index)
    return known


def of_span(first: int, last: int):
    return lambda index: Comparison(older=index < first, newer=index > last)


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int, int, int]:
    count = draw(st.integers(1, COUNT))
    first = draw(st.integers(0, count - 1))
    return count, first, draw(st.integers(first, count - 1)), draw(st.integers(0, count - 1))


@given(spans())
def test_both_edges_are_found_from_any_start(drawn: tuple[int, int, int, int]) -> None:
    count, first, last, start = drawn
    known = search(count, start, of_span(first, last))
    found = agreement(count, known)
    assert found is not None
    assert (found.before, found.after) == (first - 1, last + 1)
    assert len(known) <= 6 * math.log2(count + 2) + 4


def test_a_good_start_costs_little() -> None:
    assert len(search(COUNT, 2500, of_span(2498, 2503))) <= 12


@given(st.integers(1, COUNT), st.integers(-1, COUNT))
def test_without_an_agreeing_snapshot_it_ends(count: int, turn: int) -> None:
    known = search(count, 0, lambda index: Comparison(older=index <= turn, newer=index > turn))
    assert agreement(count, known) is None
    assert len(known) <= 4 * math.log2(count + 2) + 4


def test_no_snapshot_at_all() -> None:
    assert next_index(0, {}, 0) is None


def test_unanswered_snapshots_are_passed_over() -> None:
    """Days are missing: before the archive begins, in a gap, and after its end."""
    answered = {*range(30, 60), *range(62, 70)}

    def compare(index: int) -> Comparison:
        return of_span(40, 64)(index) if index in answered else Comparison(is_answered=False)

    found = agreement(900, search(900, 0, compare))
    assert found is not None
    assert found.before == 39
    assert found.after == 65


@given(spans(), st.lists(st.integers(-20, 20), max_size=MOST_UNANSWERED - 1), st.integers(0, COUNT))
def test_some_unanswered_snapshots_hide_no_agreement(
    drawn: tuple[int, int, int, int], offsets: list[int], near: int
) -> None:
    count, first, last, start = drawn
    missing = {place + offset for offset in offsets for place in (start, near)}

    def compare(index: int) -> Comparison:
        return Comparison(is_answered=False) if index in missing else of_span(first, last)(index)

    found = agreement(count, search(count, start, compare))
    if found is None:
        assert len(missing) >= MOST_UNANSWERED or missing >= set(range(first, last + 1))
    else:
        assert first <= found.first <= found.last <= last


@pytest.mark.parametrize("start", [650, 690, 999])
def test_an_archive_that_ended_is_not_searched_to_the_last_day(start: int) -> None:
    """A gap is crossed in growing steps, not day by day."""

    def compare(index: int) -> Comparison:
        return of_span(690, 699)(index) if index < 700 else Comparison(is_answered=False)

    known = search(1000, start, compare)
    assert agreement(1000, known) == SnapshotAgreement(689, 690, 699, 1000)
    assert len(known) <= 20


def test_unanswered_snapshots_beside_the_start() -> None:
    known = {4: Comparison(is_answered=False), 5: Comparison(is_answered=False), 9: Comparison(older=1)}
    assert next_index(48, known, 4) == 10


def test_packages_from_elsewhere_do_not_prevent_agreement() -> None:
    found = agreement(100, search(100, 50, lambda index: Comparison(index > 60, index < 40, absent=3)))
    assert found is not None
    assert (found.before, found.after) == (39, 61)


def test_a_snapshot_that_lacks_more_packages_does_not_agree() -> None:
    known = {0: Comparison(absent=2), 1: Comparison(absent=1), 2: Comparison(absent=1), 3: Comparison(newer=1)}
    assert agreement(4, known) == SnapshotAgreement(0, 1, 2, 3)


@pytest.mark.parametrize("known", [{}, {0: Comparison(newer=1)}, {0: Comparison(is_answered=False)}])
def test_no_agreement(known: dict[int, Comparison]) -> None:
    assert agreement(1, known) is None


def test_a_version_that_came_back_leaves_the_newest_span() -> None:
    known = {1: Comparison(), 5: Comparison(newer=1), 9: Comparison()}
    assert agreement(10, known) == SnapshotAgreement(5, 9, 9, 10)
