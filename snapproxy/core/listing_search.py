"""Search an ordered list of snapshots for those in which all installed packages are listed, with few comparisons.

Each comparison has a direction: a snapshot that lists older versions than the installed ones is too early, one that
lists newer ones is too late. The search bisects both edges of the agreeing snapshots. Versions may go back in an
archive, so the result states the comparisons, and not more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise


class Direction(Enum):
    """The result of one comparison."""

    AGREES = "agrees"
    EARLY = "too early"
    LATE = "too late"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The installed packages compared with one snapshot.

    `newer`, `older` and `absent` count the packages of which it lists only newer versions, only older versions, and
    none. `is_answered`: False if the archive does not answer for that snapshot.
    """

    newer: int = 0
    older: int = 0
    absent: int = 0
    is_answered: bool = True

    @property
    def direction(self) -> Direction:
        """The direction; of a mixture, that of the majority."""
        if not self.is_answered:
            return Direction.UNANSWERED
        if self.newer == self.older == 0:
            return Direction.AGREES
        return Direction.LATE if self.newer >= self.older else Direction.EARLY


@dataclass(frozen=True, slots=True)
class SnapshotAgreement:
    """The agreeing snapshots, by index: `first` to `last` were compared and agree.

    `before` is the nearest earlier one that was compared and does not, or -1; `after` likewise, or `count`. If the
    search ended early, snapshots between `before` and `first` were not compared.
    """

    before: int
    first: int
    last: int
    after: int


def next_index(count: int, known: Mapping[int, Comparison], start: int) -> int | None:
    """Return the snapshot to compare next, None when both edges are found or no snapshot can agree.

    `count` snapshots in the order of time; `known`: the comparisons so far, in the order in which they were made;
    `start`: the index to begin with. From a start the steps grow fourfold, between two limits they halve.
    """
    if not known:
        return min(max(start, 0), count - 1) if count else None
    found = agreement(count, known)
    if found is None:
        return _towards_agreement(count, known, min(max(start, 0), count - 1))
    origin = next(index for index in known if found.first <= index <= found.last)
    later = _between(found.last, found.after, known) if found.after < count else _outward(origin, 1, count, known)
    if later is not None:
        return later
    return _between(found.before, found.first, known) if found.before >= 0 else _outward(origin, -1, -1, known)


def _towards_agreement(count: int, known: Mapping[int, Comparison], start: int) -> int | None:
    """Return the next snapshot while none agrees: between the limits, or away from the start."""
    low, high = _limits(count, known)
    if low >= 0 and high < count:
        return _between(low, high, known)
    if low >= 0:
        return _outward(start, 1, count, known)
    if high < count:
        return _outward(start, -1, -1, known)
    later = _outward(start, 1, count, known, through_gaps=True)
    if later is None:
        later = _outward(start, -1, -1, known, through_gaps=True)
    return later if later is not None else _between(*_widest_gap(count, known), known)


def agreement(count: int, known: Mapping[int, Comparison]) -> SnapshotAgreement | None:
    """Return the agreeing snapshots so far, or None.

    Packages that all snapshots lack are not of this archive. A snapshot that lacks more packages than another does not
    agree.
    """
    answered = [each for each in known.values() if each.direction is Direction.AGREES]
    if not answered:
        return None
    fewest = min(each.absent for each in answered)
    agreeing = {index for index, each in known.items() if each.direction is Direction.AGREES and each.absent == fewest}
    others = {
        index for index, each in known.items() if index not in agreeing and each.direction is not Direction.UNANSWERED
    }
    newest = max(agreeing)
    first = last = newest
    while (earlier := max((index for index in agreeing if index < first), default=None)) is not None:
        if any(earlier < index < first for index in others):
            break
        first = earlier
    return SnapshotAgreement(
        max((index for index in others if index < first), default=-1),
        first,
        last,
        min((index for index in others if index > last), default=count),
    )


def _limits(count: int, known: Mapping[int, Comparison]) -> tuple[int, int]:
    """Return the newest snapshot that is too early and the oldest after it that is too late."""
    early = max((index for index, each in known.items() if each.direction is Direction.EARLY), default=-1)
    late = (index for index, each in known.items() if each.direction is Direction.LATE and index > early)
    return early, min(late, default=count)


def _outward(
    origin: int, sign: int, end: int, known: Mapping[int, Comparison], *, through_gaps: bool = False
) -> int | None:
    """Return the next index in steps of 1, 5, 21, ... from an origin towards `end` (excluded), None at the end.

    An unanswered index is a limit, and the indexes before it are halved, except with `through_gaps`.
    """
    step, reached = 1, origin
    while True:
        index = origin + sign * step
        if (index - end) * sign >= 0:
            index = end - sign
        each = known.get(index)
        if each is None:
            return index
        if not each.is_answered and not through_gaps:
            answered = max(
                (at for at, one in known.items() if one.is_answered and (index - at) * sign > 0),
                key=lambda at: at * sign,
            )
            return _between(min(answered, index), max(answered, index), known)
        if index in {reached, end - sign}:
            return None
        step, reached = 4 * step + 1, index


def _widest_gap(count: int, known: Mapping[int, Comparison]) -> tuple[int, int]:
    """Return the two limits of the most snapshots in a row that were not compared."""
    ordered = [-1, *sorted(known), count]
    return max(pairwise(ordered), key=lambda gap: gap[1] - gap[0])


def _between(low: int, high: int, known: Mapping[int, Comparison]) -> int | None:
    """Return the index nearest to the middle of two that was not compared, or None."""
    middle = (low + high) // 2
    for distance in range(max(0, high - low)):
        for index in (middle + distance, middle - distance):
            if low < index < high and index not in known:
                return index
    return None
