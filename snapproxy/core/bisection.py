"""Find the first bad state of an ordered history by halving it, as `git bisect` does.

The states have the positions 0 (known as good) to `count - 1` (known as bad). A state between them is tested with a
verdict: good, bad, or skip if it cannot be tested. Without skips the first bad state is found by at most
ceil(log2(count - 1)) tests, because that many states may be the first bad one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SKIP_CODE = 125
"""The exit code of a command that cannot test a state (as in `git bisect run`)."""

LAST_CODE = 127
"""The last exit code with a verdict. Greater ones (128 + N: ended by signal N) end the search."""


class TrialVerdict(StrEnum):
    """The result of testing one state."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


def verdict_of(code: int) -> TrialVerdict | None:
    """Return the verdict of an exit code (0 to 255), None if the code ends the search."""
    if code > LAST_CODE:
        return None
    if code == SKIP_CODE:
        return TrialVerdict.SKIP
    return TrialVerdict.BAD if code else TrialVerdict.GOOD


@dataclass(frozen=True, slots=True)
class TryNext:
    """Test the state at `position`. One of `left` states is the first bad one."""

    position: int
    left: int


@dataclass(frozen=True, slots=True)
class FoundFirstBad:
    """The state at `first_bad` is bad, and the one before it is good."""

    last_good: int
    first_bad: int


@dataclass(frozen=True, slots=True)
class OnlySkipped:
    """Every state between `last_good` and `first_bad` is skipped: each of them, or `first_bad`, may be the first."""

    last_good: int
    first_bad: int


@dataclass(frozen=True, slots=True)
class WrongEnd:
    """The first state was tested as bad, or the last one as good, so there is nothing to find between them."""

    position: int


Decision = TryNext | FoundFirstBad | OnlySkipped | WrongEnd


def decide(count: int, verdicts: Mapping[int, TrialVerdict]) -> Decision:
    """Return what to do after the tests so far, given by position. `count` is at least 2.

    The ends are not tested unless `verdicts` has them; a skipped end counts as known.
    """
    last = count - 1
    for position, wrong in ((0, TrialVerdict.BAD), (last, TrialVerdict.GOOD)):
        if verdicts.get(position) is wrong:
            return WrongEnd(position)
    bad = [position for position, verdict in verdicts.items() if verdict is TrialVerdict.BAD]
    high = min(bad, default=last)
    good = [position for position, verdict in verdicts.items() if verdict is TrialVerdict.GOOD and position < high]
    low = max(good, default=0)
    if high - low == 1:
        return FoundFirstBad(low, high)
    untested = [position for position in range(low + 1, high) if position not in verdicts]
    if not untested:
        return OnlySkipped(low, high)
    target = low + _fraction(high - low - 1 - len(untested)) * (high - low)
    return TryNext(min(untested, key=lambda position: (abs(position - target), position)), high - low)


def _fraction(skipped: int) -> float:
    """Return where to test a range that has so many skipped states, as a fraction of its length.

    The middle, its neighbour after the first skip, then 1/4, 3/4, 1/8, 5/8, 3/8, 7/8 and so on (van der Corput's
    sequence). Neighbours alone would test a long run of broken states one by one.
    """
    number, fraction, part = max(skipped, 1), 0.0, 0.5
    while number:
        fraction += part * (number & 1)
        number, part = number >> 1, part / 2
    return fraction
