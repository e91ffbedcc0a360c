"""The fewest instants for a list of packages, compared with every possible choice for small lists."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.interval_cover import Span, fewest_points, includes, merged

SPANS = st.tuples(st.integers(0, 12), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def is_met(line: list[Span], points: tuple[int, ...]) -> bool:
    return any(first <= point <= last for first, last in line for point in points)


def fewest_by_trial(lines: list[list[Span]]) -> int:
    """Return the size of the smallest cover, found by trying every choice of ends."""
    ends = sorted({last for line in lines for _, last in line})
    return next(
        size
        for size in range(len(ends) + 1)
        for points in combinations(ends, size)
        if all(is_met(line, points) for line in lines if line)
    )


@given(st.lists(SPANS, max_size=8))
def test_single_spans_get_the_smallest_set(spans: list[Span]) -> None:
    lines = [[span] for span in spans]
    points = fewest_points(lines)
    assert all(is_met(line, points) for line in lines)
    assert len(points) == fewest_by_trial(lines)


@given(st.lists(st.lists(SPANS, max_size=3), max_size=6))
def test_several_spans_get_a_cover_within_the_bound_of_a_greedy_choice(lines: list[list[Span]]) -> None:
    points = fewest_points(lines)
    ends = {last for line in lines for _, last in line}
    assert all(is_met(line, points) for line in lines if line)
    assert set(points) <= ends
    assert list(points) == sorted(set(points))
    assert len(points) <= fewest_by_trial(lines) * (1 + 6 / 2)


@given(st.lists(st.lists(SPANS, min_size=1, max_size=3), min_size=1, max_size=6))
def test_no_point_can_be_omitted(lines: list[list[Span]]) -> None:
    points = fewest_points(lines)
    for point in points:
        others = tuple(each for each in points if each != point)
        assert not all(is_met(line, others) for line in lines)


def test_nothing_needs_no_point() -> None:
    assert fewest_points([]) == ()
    assert fewest_points([[], []]) == ()


def test_one_instant_that_all_lines_share_is_found_among_several_spans() -> None:
    assert fewest_points([[(1, 1), (5, 5)], [(3, 3), (5, 5)], [(5, 5)]]) == (5,)


def test_the_latest_of_equal_instants_is_chosen() -> None:
    assert fewest_points([[(1, 1), (7, 7)], [(1, 1), (7, 7)]]) == (7,)


@given(st.lists(SPANS, max_size=6), st.integers(-1, 20))
def test_merged_spans_include_the_same_points(spans: list[Span], point: int) -> None:
    joined = merged(spans)
    assert includes(joined, point) == any(first <= point <= last for first, last in spans)
    assert all(one[1] < other[0] for one, other in pairwise(joined))
