"""Choose the fewest points that meet every line: interval stabbing, and set cover for lines of several spans.

Lines are packages, spans the periods in which an index listed them, points the instants to install from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Span = tuple[int, int]
"""A period in seconds, both ends included."""


def fewest_points(lines: Sequence[Sequence[Span]]) -> tuple[int, ...]:
    """Return points, ascending, such that every line that has a span has a point in one of its spans.

    Each point is the end of a span. If every line has at most one span, no smaller set exists. Otherwise points are
    chosen greedily, the one that meets the most remaining lines first (the latest of equals), and points that the
    others make superfluous are removed: at most 1 + ln(lines) times as many as needed, in practice the fewest.
    """
    spanned = [tuple(each) for each in lines if each]
    if all(len(each) == 1 for each in spanned):
        return _stab([each[0] for each in spanned])
    return _greedy(spanned)


def _stab(spans: Sequence[Span]) -> tuple[int, ...]:
    """Take the earliest end of the remaining spans again and again: the exact solution for single spans."""
    points: list[int] = []
    for first, last in sorted(spans, key=lambda span: span[1]):
        if not points or first > points[-1]:
            points.append(last)
    return tuple(points)


def _greedy(lines: Sequence[Sequence[Span]]) -> tuple[int, ...]:
    # Any point of a solution can move to the first end of a span after it without leaving a span.
    ends = sorted({last for line in lines for _, last in line})
    met = {end: _met(lines, end) for end in ends}
    chosen: list[int] = []
    remaining = set(range(len(lines)))
    while remaining:
        best = max(ends, key=lambda end: (len(met[end] & remaining), end))
        chosen.append(best)
        remaining -= met[best]
    return tuple(sorted(_needed(chosen, met)))


def _met(lines: Sequence[Sequence[Span]], point: int) -> frozenset[int]:
    """Return the numbers of the lines with a span that includes the point."""
    return frozenset(number for number, line in enumerate(lines) if any(first <= point <= last for first, last in line))


def _needed(chosen: Sequence[int], met: Mapping[int, frozenset[int]]) -> list[int]:
    """Drop each point whose lines the other points meet."""
    kept = list(chosen)
    for point in chosen:
        others: frozenset[int] = frozenset().union(*(met[each] for each in kept if each != point))
        if met[point] <= others:
            kept.remove(point)
    return kept
