"""Choose the fewest points that meet every line: interval stabbing, and set cover for lines of several spans.

Lines are packages, spans the periods in which an index listed them, points the instants to install from.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

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


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the spans ascending, with overlapping ones joined."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def includes(spans: Sequence[Span], point: int) -> bool:
    """Return whether one of these `merged` spans includes a point."""
    at = bisect_right(spans, point, key=lambda span: span[0]) - 1
    return at >= 0 and point <= spans[at][1]


def _greedy(lines: Sequence[Sequence[Span]]) -> tuple[int, ...]:
    # Any point of a solution can move to the first end of a span after it without leaving a span.
    ends = sorted({last for line in lines for _, last in line})
    met: dict[int, set[int]] = {end: set() for end in ends}
    for number, line in enumerate(lines):
        for first, last in line:
            for end in ends[bisect_left(ends, first) : bisect_right(ends, last)]:
                met[end].add(number)
    chosen: list[int] = []
    remaining = set(range(len(lines)))
    while remaining:
        best = max(ends, key=lambda end: (len(met[end] & remaining), end))
        chosen.append(best)
        remaining -= met[best]
    return tuple(sorted(_needed(chosen, met)))


def _needed(chosen: Sequence[int], met: Mapping[int, set[int]]) -> list[int]:
    """Drop each point whose lines the other points meet."""
    times = Counter(number for point in chosen for number in met[point])
    kept = []
    for point in chosen:
        if all(times[number] > 1 for number in met[point]):
            times.subtract(met[point])
        else:
            kept.append(point)
    return kept
