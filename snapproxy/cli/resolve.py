"""Print the snapshot that answers for a time, or the newest time that several archives answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.times import CommonTime, common_time, open_times
from snapproxy.config import Config
from snapproxy.core import time_spec
from snapproxy.core.model import Refusal, Resolved
from snapproxy.errors import ClientError


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if len(arguments.archive) > 1:
        return _common(arguments)
    found = result_of(arguments, _resolve)
    if arguments.json:
        print_json(as_json(arguments.archive[0], arguments.time.text, found))
    else:
        print(time_of(found))
        for line in _notes(found):
            print(f"snapproxy: {line}", file=sys.stderr)
    return 0


def _common(arguments: argparse.Namespace) -> int:
    """Print the newest time that all archives answer; with --json the snapshot of each archive too."""
    found = result_of(arguments, _resolve_common)
    time = time_spec.format_instant(found.instant)
    if arguments.json:
        print_json({"at": time, "archives": [as_json(name, time, each) for name, each in found.snapshots.items()]})
    else:
        print(time)
        for name, each in found.snapshots.items():
            for line in _notes(each):
                print(f"snapproxy: {name}: {line}", file=sys.stderr)
    return 0


def time_of(found: Resolved) -> str:
    """Return a time that resolves to this snapshot: its id, or its instant if the id is a folder (2024/05/31)."""
    try:
        time_spec.parse_time(found.snapshot)
    except ClientError:
        return time_spec.format_instant(found.instant)
    return found.snapshot


def _notes(found: Resolved) -> Iterator[str]:
    if time_of(found) != found.snapshot:
        yield f"the archive's folder for that time is {found.snapshot}"
    if found.note:
        yield found.note


async def _resolve(config: Config, arguments: argparse.Namespace) -> Resolved | Refusal:
    async with open_times(config, offline=arguments.offline) as app:
        return await app.resolve(arguments.archive[0], arguments.time.text)


async def _resolve_common(config: Config, arguments: argparse.Namespace) -> CommonTime | Refusal:
    async with open_times(config, offline=arguments.offline) as app:
        return await common_time(app, tuple(dict.fromkeys(arguments.archive)), arguments.time)


def as_json(archive: str, requested: str, found: Resolved) -> dict[str, object]:
    """Return the answer as JSON.

    `at` is a time that resolves to the snapshot, `valid` the span of instants known to have the same answer.
    """
    return {
        "archive": archive,
        "when": requested,
        "at": time_of(found),
        "snapshot": found.snapshot,
        "instant": found.instant,
        "valid": None if found.valid is None else [time_spec.format_instant(each) for each in found.valid],
        "note": found.note,
    }
