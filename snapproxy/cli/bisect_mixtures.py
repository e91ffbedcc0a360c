"""Find the package among several that changed in one snapshot, by running the command with mixtures of both snapshots.

Only for apt: a second source can be given to it from outside the command, and it supports packages of both. A mixture
counts only if the record of its run shows that the command downloaded the intended version of every package. Packages
that depend on each other's exact version cannot be mixed, and neither can those of a command that replaces apt's
configuration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snapproxy.cli.application import ChangedPackage
from snapproxy.cli.bisect_runs import NoVerdictError, TrialRunner, without_epoch
from snapproxy.client_config.apt_mixture import AptMixture
from snapproxy.core.bisection import TrialVerdict
from snapproxy.core.mixture import FoundCause, OnlySuspects, Unit, decide_mixture
from snapproxy.core.model import Archive
from snapproxy.jobs.bisect_log import FinishedTrial

FAMILY = "apt"
MOST_PACKAGES = 500
"""Maximum number of packages to mix: more are the change of a whole release, and a mixture of them cannot be made."""

_CLEARED = "The other packages are good on their own; these could not be tested without the others."
_UNDECIDED = "The command works with each part of them, or could not be run with a part of them."


@dataclass(frozen=True, slots=True)
class Blame:
    """The packages that cause the change, as far as they are known. `cause` is empty if several are suspects."""

    cause: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class _VersionPair:
    """The versions of a package in the good and in the bad snapshot, and the source that it is built from."""

    source: str
    good: str
    bad: str


def blame(
    runner: TrialRunner,
    good: FinishedTrial,
    bad: FinishedTrial,
    changes: Iterable[ChangedPackage],
    archives: Mapping[str, Archive],
    *,
    may_mix: bool,
) -> Blame:
    """Return which of the changed packages that the command uses is the cause.

    `archives`: the archive table by name. A single package is named without a further run.
    """
    used = [each for each in changes if each.is_used]
    names = tuple(sorted({each.change.name for each in used}))
    if len(names) <= 1:
        return Blame(names, names)
    if not may_mix:
        return Blame((), names, "They were not tested apart (--no-mix).")
    if {archives[each.archive].family for each in used} != {FAMILY}:
        return Blame((), names, "They were not tested apart: packages of two snapshots are mixed for apt only.")
    pairs = _pairs(used, good, bad)
    if len(pairs) != len(names) or len(names) > MOST_PACKAGES:
        return Blame((), names, "Some of them are new, removed or too many, so they were not tested apart.")
    keyrings = {
        name: tuple(file for file in archives[name].keyrings if Path(file).is_file()) for name in bad.used.archives
    }
    return _Mixer(runner, good, bad, pairs, keyrings).blame()


class _Mixer:
    def __init__(
        self,
        runner: TrialRunner,
        good: FinishedTrial,
        bad: FinishedTrial,
        pairs: Mapping[str, _VersionPair],
        keyrings: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._runner = runner
        self._good = good
        self._bad = bad
        self._pairs = pairs
        self._keyrings = keyrings

    def blame(self) -> Blame:
        """Search among sources, whose packages usually need equal versions, then among the packages of one source."""
        by_source: defaultdict[str, list[str]] = defaultdict(list)
        for name, pair in sorted(self._pairs.items()):
            by_source[pair.source].append(name)
        try:
            found = self._search([tuple(names) for names in by_source.values()])
            if isinstance(found, FoundCause) and len(found.unit) > 1:
                single = self._search([(name,) for name in found.unit])
                found = single if isinstance(single, FoundCause) else found
        except NoVerdictError as error:
            return Blame((), tuple(sorted(self._pairs)), f"They were not tested apart: {error.sentences}")
        match found:
            case FoundCause(unit):
                return Blame(unit, unit)
            case OnlySuspects(units):
                suspects = tuple(sorted(name for unit in units for name in unit))
                return Blame((), suspects, _CLEARED if len(suspects) < len(self._pairs) else _UNDECIDED)

    def _search(self, units: Sequence[Unit]) -> FoundCause | OnlySuspects:
        verdicts: dict[frozenset[str], TrialVerdict] = {}
        while True:
            step = decide_mixture(units, verdicts)
            if isinstance(step, FoundCause | OnlySuspects):
                return step
            verdicts[step.packages] = self._run(step.packages)

    def _run(self, packages: Collection[str]) -> TrialVerdict:
        files = tuple((each.archive, each.path) for each in self._bad.used.lists)
        mixture = AptMixture(self._bad.at, files, {name: self._pairs[name].bad for name in packages}, self._keyrings)
        expected = {
            name: without_epoch(pair.bad if name in packages else pair.good) for name, pair in self._pairs.items()
        }
        return self._runner.mixture(self._good.at, mixture, expected).verdict


def _pairs(used: Iterable[ChangedPackage], good: FinishedTrial, bad: FinishedTrial) -> Mapping[str, _VersionPair]:
    """Return the packages that both snapshots have, by name."""
    is_fix = good.at > bad.at
    pairs = {}
    for each in used:
        before, after = each.change.before, each.change.after
        olds, news = (after, before) if is_fix else (before, after)
        if olds and news and each.source:
            name = each.change.name
            pairs[name] = _VersionPair(each.source, _chosen(name, olds, good), _chosen(name, news, bad))
    return pairs


def _chosen(name: str, versions: Sequence[str], trial: FinishedTrial) -> str:
    """Return the version that a run downloaded, otherwise the newest one."""
    downloaded = {without_epoch(each.version) for each in trial.used.packages if each.name == name}
    return next((version for version in versions if without_epoch(version) in downloaded), versions[0])
