"""Run a command online and offline from a lock, and compare the results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snapproxy.base.clock import SystemClock
from snapproxy.capture import lock
from snapproxy.capture.lock_reader import decode
from snapproxy.capture.record_diff import compare
from snapproxy.capture.replay import the_time
from snapproxy.cli import outputs, prefetch_report, run_mode
from snapproxy.cli.execution import result_of, run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import check_can_be_written, read_lock, read_nonempty_lock, write_lock
from snapproxy.cli.messages import print_error, print_json
from snapproxy.cli.registry_access import access_of
from snapproxy.cli.reproduce_list import ListComparison, PreparedLists, compare_packages, prepare
from snapproxy.cli.run_command import CommandError, FinishedRun, run_pinned
from snapproxy.cli.run_mode import RunMode
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.core.model import TimeSpec
from snapproxy.core.record import Record
from snapproxy.errors import ConfigurationError, SnapproxyError
from snapproxy.jobs.attest import attest


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The result of running a command twice: the lock, the digests of the first run's outputs, and the differences.

    `differences` and `requests` are the rows of tables. `requests` are the files that only the lock has, or only a run:
    the lock then does not describe this command. Without both, the reproduction can be attested (`capture.intoto`).
    `packages` compares the first run with the prefetched lists, if there are any; it does not decide the result.
    """

    record: Record
    outputs: Mapping[str, str]
    differences: Sequence[tuple[str, ...]]
    requests: Sequence[tuple[str, ...]] = ()
    packages: ListComparison | None = None

    @property
    def is_reproduced(self) -> bool:
        """Whether both runs requested the files of the lock, and had equal results."""
        return not (self.differences or self.requests)

    @property
    def result(self) -> str:
        """The result, to be followed by the digest of the lock."""
        if self.differences:
            return "the second run differs from the lock"
        if self.requests:
            return "not reproduced: the requests of the two runs differ from the files of the lock"
        return "reproduced offline from the lock"


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    outputs.check(arguments.outputs)
    _check_lock(arguments)
    config = config_of(arguments)
    prepared = result_of(arguments, prepare) if arguments.lists else None
    if prepared is not None and not _show(prepared, arguments):
        return 1
    try:
        found = reproduce(config, arguments, prepared)
    except CommandError as error:
        print_error(error)
        return error.code
    if arguments.json:
        print_json(_as_json(found))
    else:
        print(format_table(found.differences or found.requests), end="")
    if found.packages is not None:
        for line in found.packages.lines():
            print(f"snapproxy: {line}", file=sys.stderr)
    print(f"snapproxy: {found.result} {lock.digest(found.record)}", file=sys.stderr)
    if arguments.attest and found.is_reproduced:
        print(f"snapproxy: attested as {run_async(_attest(found, arguments))}", file=sys.stderr)
    return int(not found.is_reproduced)


def _check_lock(arguments: argparse.Namespace) -> None:
    """Check that the lock is named, or not needed, and can be written if it is to be. Raises ConfigurationError."""
    if arguments.lock is None and not arguments.lists:
        raise ConfigurationError(
            "No lock and no list was named", hint="Add --lock FILE, with --at TIME to record it, or --from LIST."
        )
    if arguments.lock is not None and (arguments.lists or arguments.time is not None):
        check_can_be_written(arguments.lock)


def _show(prepared: PreparedLists, arguments: argparse.Namespace) -> bool:
    """Print the result of the prefetch, and return whether the command can run.

    It is the result of the verb if the command cannot run, and otherwise printed on stderr.
    """
    found = prepared.prefetched
    if prepared.time is not None:
        print(*prefetch_report.lines(found, ""), sep="\n", file=sys.stderr)
        return True
    if arguments.json:
        print_json(prefetch_report.as_json(found, ""))
    else:
        prefetch_report.show(found, "")
    print("snapproxy: the list is incomplete, so the command was not run", file=sys.stderr)
    return False


async def _attest(found: Reproduction, arguments: argparse.Namespace) -> str:
    digest = lock.digest(found.record)
    return await attest(arguments.attest, digest, found.outputs, access_of(arguments), SystemClock())


def reproduce(config: Config, arguments: argparse.Namespace, prepared: PreparedLists | None = None) -> Reproduction:
    """Run the command online, then offline. `prepared` are the prefetched lists, whose time is that of the runs.

    Raises CommandError if it cannot be started, SnapproxyError if a run fails or writes no output.
    """
    paths: Sequence[Path] = arguments.outputs
    time: TimeSpec | None = arguments.time if prepared is None else prepared.time
    if time is None:
        record = read_nonempty_lock(arguments.lock)
        online = _run(config, run_mode.at_time(the_time(record), is_recorded=True), arguments.command, "online")
    else:
        online = _run(config, run_mode.at_time(time, is_recorded=True), arguments.command, "online")
        record = _locked(online, arguments.lock)
    before = {path: outputs.digests(path) for path in paths}
    aside = {path: outputs.move_aside(path) for path in paths}
    name = "of the online run" if arguments.lock is None else arguments.lock.name
    replay = run_mode.to_lock(name, record, is_recorded=True, offline=True)
    offline = _run(config, replay, arguments.command, "offline from the lock")
    after = {path: outputs.digests(path) for path in paths}
    differences = (
        [row for path in paths for row in outputs.differing(path, aside[path], before[path], after[path])]
        if paths
        else compare(online.record, offline.record).rows({**online.record.families, **offline.record.families})
    )
    for path in paths:
        if before[path] == after[path]:
            outputs.remove(aside[path])
    digests = {str(path): outputs.digest(before[path]) for path in paths}
    requests = different_requests(record, online.record, offline.record)
    packages = None if prepared is None else compare_packages(prepared.prefetched, online.record)
    return Reproduction(record, digests, differences, requests, packages)


def _locked(online: FinishedRun, file: Path | None) -> Record:
    """Return the lock of the online run as it is read again, after writing it if a file is named."""
    if file is None:
        return decode(lock.encode(online.record))
    write_lock(file, online.record, online.code)
    return read_lock(file)


def different_requests(locked: Record, online: Record, offline: Record) -> list[tuple[str, ...]]:
    """Return a row for each file of the lock that a run did not request, and for each file that only a run requested.

    A command that requests nothing has equal results in both runs, and reproduces nothing.
    """
    expected, first, second = (
        {entry.key for entry in record.entries if not entry.is_absence} for record in (locked, online, offline)
    )
    rows: list[tuple[str, ...]] = []
    for key in sorted(expected | first | second):
        runs = [name for name, requested in (("online", first), ("offline", second)) if key in requested]
        archive, _, path = key
        missing = [name for name in ("online", "offline") if name not in runs]
        if key not in expected:
            rows.append(("not in the lock", archive, path, " and ".join(runs)))
        elif missing:
            rows.append(("not requested", archive, path, " and ".join(missing)))
    return rows


def _run(config: Config, mode: RunMode, command: Sequence[str], where: str) -> FinishedRun:
    ran = run_pinned(config, mode, command)
    print(f"{ran.summary.line()} ({where})", file=sys.stderr)
    if ran.code:
        raise SnapproxyError(
            f"The command failed {where}"[:80],
            why=f"Its exit code is {ran.code}; nothing was compared.",
            hint="The command's own messages name the refused files. "
            "If the build has changed, record the lock again with --at.",
        )
    return ran


def _as_json(found: Reproduction) -> dict[str, Any]:
    return {
        "lock": lock.digest(found.record),
        "outputs": dict(found.outputs),
        "differences": [list(row) for row in found.differences],
        "requests": [list(row) for row in found.requests],
        "list": None if found.packages is None else _packages_as_json(found.packages),
    }


def _packages_as_json(packages: ListComparison) -> dict[str, Any]:
    return {
        "not_requested": [{"archive": archive, "path": path} for archive, path in packages.not_requested],
        "not_listed": [{"archive": archive, "path": path} for archive, path in packages.not_listed],
    }
