"""Search an ordered list of snapshots for those in which all installed packages are listed, with few comparisons.

Each comparison has a direction: a snapshot that lists older versions than the installed ones is too early, one that
lists newer ones is too late. The search bisects both edges of the agreeing snapshots. Versions may go back in an
archive, so the result states the comparisons, and not more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

MOST_UNANSWERED = 8
"""Number of unanswered snapshots between two others after which the ones between those are not compared."""


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
    """Return the next snapshot while none agrees: between the limits, or away from the first one that was answered."""
    low, high = _limits(count, known)
    if low >= 0 and high < count:
        return _between(low, high, known)
    if low >= 0 or high < count:
        answered = next(index for index, each in known.items() if each.is_answered)
        return _outward(answered, 1, count, known) if low >= 0 else _outward(answered, -1, -1, known)
    for sign, end in ((1, count), (-1, -1)):
        if (index := _outward(start, sign, end, known)) is not None:
            return index
    return _middle(_widest_gap([-1, *sorted(known), count]))


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


def _outward(origin: int, sign: int, end: int, known: Mapping[int, Comparison]) -> int | None:
    """Return the next index in steps of 1, 5, 21, ... from an origin towards `end` (excluded), None at the end.

    Before a step over unanswered indexes, those between the last answered one and them are halved. At the end the
    indexes that were passed over come next. An unanswered origin is the start, before anything was answered.
    """
    beyond = [index for index in known if (index - origin) * sign > 0]
    reached = max((index for index in (origin, *beyond) if known[index].is_answered), key=_along(sign), default=None)
    if reached is not None:
        missing = [index for index in beyond if (index - reached) * sign > 0]
        nearest = min(missing, key=_along(sign), default=reached)
        if abs(nearest - reached) > 1:
            return (reached + nearest) // 2
    distance = max((abs(index - origin) for index in beyond), default=0)
    index = origin + sign * (4 * distance + 1)
    if (index - end) * sign >= 0:
        index = end - sign
    if index not in known:
        return index
    return None if reached is None else _between(min(reached, end), max(reached, end), known)


def _along(sign: int) -> Callable[[int], int]:
    return lambda index: sign * index


def _between(low: int, high: int, known: Mapping[int, Comparison]) -> int | None:
    """Return the middle of the widest gap between two answered indexes (or an end); None if there is no gap.

    None also if `MOST_UNANSWERED` between them were not answered: then the archive has no snapshots there.
    """
    inside = sorted(index for index in known if low < index < high)
    return None if len(inside) >= MOST_UNANSWERED else _middle(_widest_gap([low, *inside, high]))


def _widest_gap(ordered: Sequence[int]) -> tuple[int, int]:
    """Return the two neighbours with the most indexes between them."""
    return max(pairwise(ordered), key=lambda gap: gap[1] - gap[0])


def _middle(gap: tuple[int, int]) -> int | None:
    low, high = gap
    return (low + high) // 2 if high - low > 1 else None
