"""Find which of several changed packages is the cause, by testing mixtures of the good and the bad state.

A mixture has the bad versions of some packages and the good version of all others. Packages that must have matching
versions form a unit, which is never divided. A mixture is good, bad, or skip if it could not be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from snapproxy.core.bisection import TrialVerdict

Unit = tuple[str, ...]
"""Names of packages that are changed together."""


@dataclass(frozen=True, slots=True)
class TryMixture:
    """Test the mixture with the bad versions of these packages."""

    packages: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundCause:
    """The bad versions of this unit alone make the result bad."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class OnlySuspects:
    """The cause is among these units, but no further mixture decides which. All units: they may act together."""

    units: tuple[Unit, ...]


def decide_mixture(
    units: Sequence[Unit], verdicts: Mapping[frozenset[str], TrialVerdict]
) -> TryMixture | FoundCause | OnlySuspects:
    """Return what to do after the mixtures tested so far, given by the packages that had their bad version.

    Without skips, one of n units is found by at most ceil(log2(n)) + 1 tests; the last one tests the cause alone, so
    a unit that fails only together with another is never named.
    """
    left = tuple(units)
    while len(left) > 1:
        halves = left[: len(left) // 2], left[len(left) // 2 :]
        for part, other in (halves, halves[::-1]):
            verdict = verdicts.get(_packages(part))
            if verdict is None:
                return TryMixture(_packages(part))
            if verdict is not TrialVerdict.SKIP:
                left = part if verdict is TrialVerdict.BAD else other
                break
        else:
            return OnlySuspects(left)
    match verdicts.get(_packages(left)):
        case None:
            return TryMixture(_packages(left))
        case TrialVerdict.BAD:
            return FoundCause(left[0])
        case TrialVerdict.GOOD:
            return OnlySuspects(tuple(units))
        case _:
            return OnlySuspects(left)


def _packages(units: Sequence[Unit]) -> frozenset[str]:
    return frozenset(chain.from_iterable(units))
