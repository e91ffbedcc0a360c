"""List, show, compare and manage the captures of the store."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from rich.filesize import decimal

from snapproxy.capture.captures import Captures, CaptureSummary
from snapproxy.capture.json_values import entry_value, summary_value
from snapproxy.cli.differences import print_difference
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.stored_captures import open_captures
from snapproxy.config import Config
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_instant

Action = Callable[[Captures, argparse.Namespace], Coroutine[Any, Any, None]]


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    result_of(arguments, _act)
    return 0


async def _act(config: Config, arguments: argparse.Namespace) -> None:
    async with open_captures(config) as captures:
        await _ACTIONS[arguments.action](captures, arguments)


async def _list(captures: Captures, arguments: argparse.Namespace) -> None:
    found = [await captures.summary(name) for name in captures.names()]
    if arguments.json:
        print_json([summary_value(each) for each in found])
    else:
        for each in found:
            print(_line(each))


async def _show(captures: Captures, arguments: argparse.Namespace) -> None:
    record = await captures.record(arguments.name)
    if arguments.json:
        print_json(_record_as_json(record))
    else:
        _print(record)


async def _diff(captures: Captures, arguments: argparse.Namespace) -> None:
    one, other = [await captures.record(name) for name in (arguments.one, arguments.other)]
    print_difference(one, other, as_json=arguments.json)


async def _close(captures: Captures, arguments: argparse.Namespace) -> None:
    await captures.close(arguments.name)


async def _rename(captures: Captures, arguments: argparse.Namespace) -> None:
    await captures.rename(arguments.name, arguments.to)


async def _remove(captures: Captures, arguments: argparse.Namespace) -> None:
    await captures.remove(arguments.name)


_ACTIONS: Mapping[str, Action] = {
    "list": _list,
    "show": _show,
    "diff": _diff,
    "close": _close,
    "rename": _rename,
    "remove": _remove,
}


def _line(summary: CaptureSummary) -> str:
    state = "closed" if summary.is_closed else "open"
    archives = " ".join(summary.archives) or "no archive yet"
    return (
        f"{summary.name}  {state}, begun {format_instant(summary.begun)}: {archives}; "
        f"{summary.files} files, {decimal(summary.size)}; {summary.absences} absences"
    )


def _print(record: Record) -> None:
    for entry in record.entries:
        what = "absent" if entry.is_absence else f"{entry.size} {entry.sha256} {entry.proof.word}"
        print(f"{entry.archive}/{entry.snapshot}/{entry.path}  {what}")
    for (archive, requested), (first, last) in record.valid.items():
        print(f"{archive} at {requested}: identical for any instant in {format_instant(first)}/{format_instant(last)}")
    for solver in sorted(record.solvers):
        print(f"solver: {solver}")
    for host in sorted(record.unpinned):
        print(f"unpinned: {host}")


def _record_as_json(record: Record) -> dict[str, Any]:
    return {
        "files": [entry_value(entry) for entry in record.entries],
        "valid": [
            {"archive": archive, "requested": requested, "first": format_instant(first), "last": format_instant(last)}
            for (archive, requested), (first, last) in record.valid.items()
        ],
        "solvers": sorted(record.solvers),
        "unpinned": sorted(record.unpinned),
    }
