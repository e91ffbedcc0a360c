"""Find the first snapshot at which a command fails, and the packages that changed in it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from math import ceil, log2
from typing import assert_never

from snapproxy.cli import application, run_as_owner
from snapproxy.cli.application import ChangedPackage
from snapproxy.cli.bisect_log_file import open_log
from snapproxy.cli.bisect_mixtures import Blame, blame
from snapproxy.cli.bisect_report import Bisection, as_json, lines
from snapproxy.cli.bisect_runs import TrialRunner
from snapproxy.cli.execution import RefusedError, run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.times import CommonTime, TimelineEntry, common_time, open_times, timeline
from snapproxy.config import Config
from snapproxy.core.bisection import SKIP_CODE, FoundFirstBad, OnlySkipped, TrialVerdict, TryNext, WrongEnd, decide
from snapproxy.core.model import Instant, Match, Refusal, TimeSpec
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ClientError, ConfigurationError, SnapproxyError
from snapproxy.jobs.bisect_instants import instants_between
from snapproxy.jobs.bisect_log import FinishedTrial, Question

FOUND, RANGE = 0, 3
"""Exit codes: the snapshot is found; skipped snapshots leave a range."""


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if arguments.good == arguments.bad:
        raise ConfigurationError("--good and --bad are the same time", hint="Give two instants.")
    config = config_of(arguments)
    archives = tuple(dict.fromkeys(arguments.archives))
    question = Question(tuple(arguments.command), archives, arguments.good, arguments.bad)
    passes = tuple(pair for pairs in arguments.passes for pair in pairs)
    with open_log(arguments.log, question) as log:
        runner = TrialRunner(config, question.command, passes, log)
        found = bisect(config, runner, question, check_ends=arguments.check_ends, may_mix=arguments.mix)
    if arguments.json:
        print_json(as_json(found))
    else:
        print("\n".join(lines(found)))
    return FOUND if found.is_found else RANGE


def bisect(config: Config, runner: TrialRunner, question: Question, *, check_ends: bool, may_mix: bool) -> Bisection:
    """Search, and compare the packages on both sides of the change.

    Raises SnapproxyError if an end has the wrong verdict, a run has none, or the timeline cannot be obtained.
    """
    archives = question.archives or _archives_at(runner, question.good)
    instants = _instants(config, archives, question)
    if check_ends:
        _check_end(runner, instants[0], TrialVerdict.GOOD)
        _check_end(runner, instants[-1], TrialVerdict.BAD)
    found = _search(config, runner, archives, instants)
    good, bad = instants[found.last_good], instants[found.first_bad]
    untested = tuple(instants[found.last_good + 1 : found.first_bad])
    changes: Sequence[ChangedPackage] = ()
    blamed = Blame()
    if isinstance(found, FoundFirstBad):
        trials = _end(runner, good, TrialVerdict.GOOD), _end(runner, bad, TrialVerdict.BAD)
        changes = _changes(config, trials, runner.finished)
        table = {archive.name: archive for archive in config.archives}
        blamed = blame(runner, *trials, changes, table, may_mix=may_mix)
    return Bisection(
        is_fix=question.good > question.bad,
        good=good,
        bad=bad,
        good_snapshots=_snapshots(config, archives, good),
        bad_snapshots=_snapshots(config, archives, bad),
        untested=untested,
        runs=runner.runs,
        mixtures=runner.mixtures,
        changes=tuple(changes),
        blame=blamed,
    )


def _archives_at(runner: TrialRunner, good: Instant) -> tuple[str, ...]:
    """Return the archives that the command uses at the good end. Raises SnapproxyError if it is not good."""
    trial = _end(runner, good, TrialVerdict.GOOD)
    if not trial.used.archives:
        raise SnapproxyError(
            "The command used no archive", why="It requested nothing at --good.", hint="Name one with --archive."
        )
    return trial.used.archives


def _end(runner: TrialRunner, at: Instant, expected: TrialVerdict) -> FinishedTrial:
    """Return the result at a state that is known as good or bad. Raises SnapproxyError if a run there disagrees."""
    trial = runner.trial(at)
    if trial.verdict not in (expected, TrialVerdict.SKIP):
        raise _wrong_end(at, expected)
    return trial


def _check_end(runner: TrialRunner, at: Instant, expected: TrialVerdict) -> None:
    if _end(runner, at, expected).verdict is not expected:
        raise SnapproxyError(
            f"The {expected.value} end cannot be checked",
            why=f"The command skipped {format_instant(at)} (exit code {SKIP_CODE}).",
            hint=f"Name another time with --{expected.value}, or search without --check-ends.",
        )


def _wrong_end(at: Instant, expected: TrialVerdict) -> SnapproxyError:
    found = "bad" if expected is TrialVerdict.GOOD else "good"
    return SnapproxyError(
        f"The {expected.value} end is {found}",
        why=f"The command ended {'with an error' if found == 'bad' else 'successfully'} at {format_instant(at)}, so "
        "there is no change to find between the ends.",
        hint=f"Name another time with --{expected.value}, or check that the command tests what it should.",
    )


def _instants(config: Config, archives: tuple[str, ...], question: Question) -> list[Instant]:
    """Return the instants to search, from the good end to the bad one."""
    first, last = sorted((question.good, question.bad))

    async def listed() -> list[TimelineEntry] | Refusal:
        async with open_times(config, offline=False) as app:
            for end in (first, last):
                if isinstance(refused := await common_time(app, archives, _at(end)), Refusal):
                    return refused
            found: list[TimelineEntry] = []
            for name in archives:
                entries = await timeline(app, name, first, last)
                if isinstance(entries, Refusal):
                    return entries
                found += entries
            return found

    with run_as_owner.acting(config.state_dir):
        entries = run_async(listed())
    if isinstance(entries, Refusal):
        raise RefusedError(entries)
    try:
        found = instants_between(entries, first, last)
    except ValueError as error:
        raise ClientError("Too many snapshots", why=f"{error}.", hint="Choose ends that are closer.") from None
    if len(found) == 1:
        raise ClientError(
            "There is no snapshot between the ends",
            why=f"{', '.join(archives)} did not change from {format_instant(first)} to {format_instant(last)}.",
            hint="List the snapshots with `snapproxy timeline ARCHIVE --from TIME --to TIME`.",
        )
    if question.good < question.bad:
        return found
    return [question.good, *found[-2::-1]]  # the state at --good is that of the last snapshot, and may have been run


def _search(
    config: Config, runner: TrialRunner, archives: tuple[str, ...], instants: Sequence[Instant]
) -> FoundFirstBad | OnlySkipped:
    """Test snapshots until the first bad one is found, or only skipped ones are left. Logged results count."""
    verdicts = {place: verdict for place, at in enumerate(instants) if (verdict := runner.logged(at)) is not None}
    while True:
        step = decide(len(instants), verdicts)
        match step:
            case TryNext(position, left):
                at = instants[position]
                _announce(at, left)
                refused = _snapshots_at(config, archives, at)
                if isinstance(refused, Refusal):
                    print(f"snapproxy: {format_instant(at)} is skipped: {refused.reason}", file=sys.stderr)
                    verdicts[position] = TrialVerdict.SKIP
                else:
                    verdicts[position] = runner.trial(at).verdict
            case WrongEnd(position):
                raise _wrong_end(instants[position], TrialVerdict.BAD if position else TrialVerdict.GOOD)
            case FoundFirstBad() | OnlySkipped():
                return step
            case _:
                assert_never(step)


def _announce(at: Instant, left: int) -> None:
    runs = ceil(log2(left))
    more = "1 more run" if runs == 1 else f"{runs} more runs"
    print(f"snapproxy: {left} snapshots left, about {more}; next: {format_instant(at)}", file=sys.stderr)


def _snapshots_at(config: Config, archives: tuple[str, ...], at: Instant) -> Mapping[str, str] | Refusal:
    """Return the snapshot of each archive that answers at an instant, or the refusal of one."""

    async def resolved() -> CommonTime | Refusal:
        async with open_times(config, offline=False) as app:
            return await common_time(app, archives, _at(at))

    with run_as_owner.acting(config.state_dir):
        found = run_async(resolved())
    if isinstance(found, Refusal):
        return found
    return {name: each.snapshot for name, each in found.snapshots.items()}


def _snapshots(config: Config, archives: tuple[str, ...], at: Instant) -> Mapping[str, str]:
    found = _snapshots_at(config, archives, at)
    if isinstance(found, Refusal):
        raise RefusedError(found)
    return found


def _changes(
    config: Config, ends: Sequence[FinishedTrial], trials: Sequence[FinishedTrial]
) -> Sequence[ChangedPackage]:
    """Return the packages that differ between the runs on both sides of the change, from the stored lists."""
    before, after = sorted(ends, key=lambda trial: trial.at)
    others = [trial.used for trial in trials]

    async def compared() -> Sequence[ChangedPackage]:
        async with application.build(config, offline=True) as app:
            return await application.changed_packages(app, before.used, after.used, others)

    with run_as_owner.acting(config.state_dir):
        return run_async(compared())


def _at(instant: Instant) -> TimeSpec:
    return TimeSpec(format_instant(instant), instant, Match.AT)
