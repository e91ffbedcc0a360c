"""Run the command of a bisection at one instant, and decide whether its exit code says something about the snapshot."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from snapproxy.cli import run_mode
from snapproxy.cli.bisect_log_file import BisectLog
from snapproxy.cli.run_command import FinishedRun, run_pinned
from snapproxy.client_config import ASK_AGAIN
from snapproxy.client_config.apt_mixture import AptMixture
from snapproxy.config import Config
from snapproxy.core.bisection import LAST_CODE, TrialVerdict, verdict_of
from snapproxy.core.model import Instant, Match, TimeSpec
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import SnapproxyError
from snapproxy.jobs.bisect_log import FinishedTrial, MixtureTrial
from snapproxy.jobs.used_packages import UsedFiles, used_files

FAILED_ANSWERS = frozenset({"407", "409", "410", "424", "425", "502", "503", "504", "508"})
"""Statuses of refusals after which a failed command says nothing about the snapshot: the file was not obtained, or the
client had newer lists. A 403 or 404 is the right answer to some requests."""

STDERR = 2
"""The descriptor that gets the command's output: stdout is for the result."""


class NoVerdictError(SnapproxyError):
    """A run that says nothing about its snapshot."""


class TrialRunner:
    """Runs the command at instants; a result in the log is not run again. `runs` and `mixtures` count the runs."""

    def __init__(
        self, config: Config, command: tuple[str, ...], passes: tuple[tuple[str, int], ...], log: BisectLog
    ) -> None:
        self._config = config
        self._command = command
        self._passes = passes
        self._log = log
        self.runs = 0
        self.mixtures = 0

    def logged(self, at: Instant) -> TrialVerdict | None:
        """Return the verdict of an earlier run, None if there was none."""
        trial = self._log.trials.get(at)
        return None if trial is None else trial.verdict

    @property
    def finished(self) -> list[FinishedTrial]:
        """The results of all runs, those in the log included."""
        return list(self._log.trials.values())

    def trial(self, at: Instant) -> FinishedTrial:
        """Return the result at an instant. Raises NoVerdictError, CommandError if the command cannot be started."""
        known = self._log.trials.get(at)
        if known is not None:
            return known
        self.runs += 1
        time = format_instant(at)
        mode = run_mode.at_time(TimeSpec(time, at, Match.AT), is_recorded=True)
        ran = run_pinned(self._config, mode, self._command, passes=self._passes, output=STDERR)
        print(ran.summary.line(), file=sys.stderr)
        check_run(ran, time)
        trial = FinishedTrial(at, ran.code, used_files(ran.record))
        self._log.add(trial)
        print(f"snapproxy: run {self.runs}: {time} is {_word(trial)} (exit code {ran.code})", file=sys.stderr)
        return trial

    def mixture(self, good: Instant, mixture: AptMixture, expected: Mapping[str, str]) -> MixtureTrial:
        """Return the result at `good` with the packages of a mixture as they were at another time.

        `expected`: the version of each package that differs between the two, without epoch. Raises NoVerdictError.
        """
        packages = frozenset(mixture.versions)
        known = self._log.mixtures.get((good, mixture.time, packages))
        if known is not None:
            return known
        self.mixtures += 1
        time = format_instant(good)
        mode = run_mode.at_time(TimeSpec(time, good, Match.AT), is_recorded=True)
        ran = run_pinned(self._config, mode, self._command, passes=self._passes, output=STDERR, mixture=mixture)
        print(ran.summary.line(), file=sys.stderr)
        is_made = has_versions(used_files(ran.record), expected)
        if is_made or ran.code > LAST_CODE:
            check_run(ran, time)
        else:
            check_answers(ran, time)
        trial = MixtureTrial(good, mixture.time, packages, ran.code, is_made)
        self._log.add_mixture(trial)
        result = f"{trial.verdict.value} (exit code {ran.code})" if is_made else "not possible for this command"
        print(
            f"snapproxy: {time} with {', '.join(sorted(packages))} of {format_instant(mixture.time)}: {result}",
            file=sys.stderr,
        )
        return trial


def has_versions(used: UsedFiles, expected: Mapping[str, str]) -> bool:
    """Return whether a run downloaded each package of `expected`, in this version (without epoch) only."""
    found: dict[str, set[str]] = {name: set() for name in expected}
    for each in used.packages:
        if each.name in found:
            found[each.name].add(without_epoch(each.version))
    return all(versions == {expected[name]} for name, versions in found.items())


def without_epoch(version: str) -> str:
    """Return a Debian version as in the name of its file."""
    return version.partition(":")[2] or version


def check_run(ran: FinishedRun, time: str) -> None:
    """Raise NoVerdictError if the exit code of a run at `time` says nothing about the snapshot."""
    verdict = verdict_of(ran.code)
    if verdict is None:
        raise NoVerdictError(
            "The command ended with a code that is no verdict",
            why=f"At {time} its exit code is {ran.code}: more than {LAST_CODE} means a signal or a failure of the test "
            "itself.",
            hint="Exit with 0 (good), 1 to 124 (bad) or 125 (skip). The same command line with --log continues.",
        )
    check_answers(ran, time)
    if verdict is not TrialVerdict.SKIP and ran.summary.unasked:
        raise NoVerdictError(
            "The command is not known to be pinned",
            why=f"At {time}: {ran.summary.unasked}, so a client may have used metadata of another time.",
            hint=f"Make the client ask: {ASK_AGAIN}.",
        )


def check_answers(ran: FinishedRun, time: str) -> None:
    """Raise NoVerdictError if a run at `time` failed after files were refused: not for want of the mixture."""
    failed = {status: count for status, count in ran.summary.refused_by_status.items() if status in FAILED_ANSWERS}
    if verdict_of(ran.code) is TrialVerdict.BAD and failed:
        counts = ", ".join(f"{count} x {status}" for status, count in failed.items())
        raise NoVerdictError(
            "The command failed after files were refused",
            why=f"At {time} snapproxy refused files ({counts}), so the failure says nothing about the snapshot. The "
            "command's own messages have the cause.",
            hint="Repeat the command line later; --log continues. For 409 let the command delete its package lists "
            "first. If the snapshot is damaged, skip it: snapproxy bad ARCHIVE ID.",
        )


def _word(trial: FinishedTrial) -> str:
    return "skipped" if trial.verdict is TrialVerdict.SKIP else trial.verdict.value
