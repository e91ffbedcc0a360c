"""Decide which of apt's solvers computes the closure of a release: pure, from versions of the package apt.

apt-get has two solvers: `internal`, the old one, and `3.0`, which is in libapt since apt 2.9.3. The version of apt-get
determines which one it uses; the default of libapt stays `internal` (measured; Debian's changelog of apt):

- before 2.9.32: internal;
- from 2.9.32: internal, and 3.0 if internal finds no solution (trixie);
- from 3.1.10, in Ubuntu from 3.1.0: 3.0.

Therefore the solver of a release follows from the version of apt in its own index, at that time. Another version of apt
with the same solver is accepted, with a note: apt 3.0.4 and 3.3.5 compute the same sets for large desktops of sid.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from snapproxy.solvers.model import SolverError

_FALLBACK_SINCE = (2, 9, 32)
_THREE_SINCE = (3, 1, 10)
_THREE_SINCE_IN_UBUNTU = (3, 1, 0)
_THREE_STABLE_SINCE = (3, 0, 0)
"""The versions before it have experimental states of the solver 3.0."""

_VERSION = re.compile(r"(?:\d+:)?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")


class AptAlgorithm(Enum):
    """How apt-get solves. `first` is the solver that it runs first, as the setting `APT::Solver` names it."""

    INTERNAL = ("internal", False)
    INTERNAL_THEN_THREE = ("internal", True)
    THREE = ("3.0", False)

    def __init__(self, first: str, has_fallback: bool) -> None:  # noqa: FBT001 -- members are read in three lines
        self.first = first
        self.has_fallback = has_fallback


@dataclass(frozen=True, slots=True)
class AptChoice:
    """The solver to run, and notes for the user.

    `lacks_fallback`: the release would try 3.0 after a failure, this apt cannot, and no other solver is accepted.
    """

    algorithm: AptAlgorithm
    notes: tuple[str, ...] = ()
    lacks_fallback: bool = False


def parse_version(text: str) -> tuple[int, int, int]:
    """Return the first three numbers of a version of apt. Raise SolverError if it has no such form."""
    found = _VERSION.match(text)
    if not found:
        raise SolverError("The version of apt cannot be read", why=f"The version is {text[:80]!r}.")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def algorithm_of(version: str, *, is_ubuntu: bool) -> AptAlgorithm:
    """Return the solver that apt-get of this version uses by default."""
    numbers = parse_version(version)
    if numbers >= (_THREE_SINCE_IN_UBUNTU if is_ubuntu else _THREE_SINCE):
        return AptAlgorithm.THREE
    return AptAlgorithm.INTERNAL_THEN_THREE if numbers >= _FALLBACK_SINCE else AptAlgorithm.INTERNAL


def choose(ours: str, theirs: str, origins: Collection[str], *, is_any_accepted: bool) -> AptChoice:
    """Return the solver for a release whose index has apt `theirs` ('': none), when apt `ours` is run.

    `origins` are the fields Origin of the roots. Raise SolverError if our apt lacks the solver of the release, unless
    any solver is accepted.
    """
    mine = algorithm_of(ours, is_ubuntu="Ubuntu" in origins)
    if not theirs:
        return AptChoice(mine, (f"The indexes have no package apt, so the solver of apt {ours} was used.",))
    wanted = algorithm_of(theirs, is_ubuntu="Ubuntu" in origins)
    numbers = parse_version(ours)
    if wanted is AptAlgorithm.THREE and numbers < _THREE_STABLE_SINCE:
        if not is_any_accepted:
            raise solver_missing(ours, theirs)
        note = f"The release has apt {theirs} with solver 3.0; solver internal of apt {ours} was used instead."
        return AptChoice(AptAlgorithm.INTERNAL, (f"{note} The set may differ.",))
    lacks = wanted is AptAlgorithm.INTERNAL_THEN_THREE and numbers < _FALLBACK_SINCE
    used = AptAlgorithm.INTERNAL if lacks else wanted
    note = f"The release has apt {theirs}, this is apt {ours}; both have the solver {used.first}."
    return AptChoice(used, (note,) if ours != theirs else (), lacks and not is_any_accepted)


def solver_missing(ours: str, theirs: str, why: str = "") -> SolverError:
    """Return the error for a release whose solver this apt does not have."""
    return SolverError(
        "apt of this machine lacks the solver of that release",
        why=f"{why}The release has apt {theirs} with solver 3.0, and this is apt {ours}: the sets can differ.",
        hint="Add --root DIR with a root of that release (made by mmdebstrap or debootstrap), or add --any-solver "
        "to use the solver of this machine.",
    )
