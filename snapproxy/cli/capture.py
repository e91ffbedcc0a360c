"""List, show, compare and manage captures: the records of everything that builds were served."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine
from typing import Any

from rich.filesize import decimal

from snapproxy.capture.captures import Captures, CaptureSummary
from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.differences import print_difference
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.options import add_config, add_json
from snapproxy.core.record import Record, RecordEntry
from snapproxy.core.time_spec import format_instant

HELP = "list, show, compare, close, rename and remove captures"

EPILOG = """\
A build records into a capture that is named by the proxy's password (http_proxy=http://WHEN:NAME@HOST:3142), by /~NAME/ before
an address, or by `snapproxy run --capture NAME`. A closed capture takes nothing more. Removing one leaves its files in the store.
"""

Action = Callable[[Captures, argparse.Namespace], Coroutine[Any, Any, None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add_json(_add(actions, "list", "list captures", _list))
    show = _add(actions, "show", "list what a capture holds", _show)
    show.add_argument("name", metavar="NAME")
    add_json(show)
    diff = _add(actions, "diff", "say in what a capture differs from another", _diff)
    diff.add_argument("one", metavar="A")
    diff.add_argument("other", metavar="B")
    add_json(diff)
    _add(actions, "close", "let a capture take nothing more", _close).add_argument("name", metavar="NAME")
    rename = _add(actions, "rename", "give a capture another name", _rename)
    rename.add_argument("name", metavar="NAME")
    rename.add_argument("to", metavar="NEW")
    _add(actions, "remove", "forget a capture", _remove).add_argument("name", metavar="NAME")


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    config = config_of(arguments)

    async def work() -> None:
        async with build(config, offline=True) as app:
            await arguments.action(app.captures, arguments)

    with run_as_owner.acting(config.state_dir):
        run_async(work())
    return 0


def _add(actions: Any, name: str, what: str, action: Action) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what, allow_abbrev=False)
    parser.set_defaults(action=action)
    add_config(parser)
    return parser


async def _list(captures: Captures, arguments: argparse.Namespace) -> None:
    found = [await captures.summary(name) for name in captures.names()]
    if arguments.json:
        print_json([_as_json(each) for each in found])
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


def _line(summary: CaptureSummary) -> str:
    state = "closed" if summary.is_closed else "open"
    archives = " ".join(summary.archives) or "nothing yet"
    return (
        f"{summary.name}  {state}, begun {format_instant(summary.begun)}: {archives}; "
        f"{summary.files} files, {decimal(summary.size)}; {summary.absences} absences"
    )


def _as_json(summary: CaptureSummary) -> dict[str, Any]:
    return {
        "name": summary.name,
        "begun": format_instant(summary.begun),
        "closed": summary.is_closed,
        "archives": list(summary.archives),
        "files": summary.files,
        "absences": summary.absences,
        "bytes": summary.size,
    }


def _print(record: Record) -> None:
    for entry in record.entries:
        what = "absent" if entry.is_absence else f"{entry.size} {entry.sha256} {entry.proof.word}"
        print(f"{entry.archive}/{entry.snapshot}/{entry.path}  {what}")
    for (archive, requested), (first, last) in record.valid.items():
        print(f"{archive} at {requested}: identical for any instant in {format_instant(first)}/{format_instant(last)}")
    for host in sorted(record.unpinned):
        print(f"unpinned: {host}")


def _record_as_json(record: Record) -> dict[str, Any]:
    return {
        "files": [_entry_as_json(entry) for entry in record.entries],
        "valid": [
            {"archive": archive, "requested": requested, "first": format_instant(first), "last": format_instant(last)}
            for (archive, requested), (first, last) in record.valid.items()
        ],
        "unpinned": sorted(record.unpinned),
    }


def _entry_as_json(entry: RecordEntry) -> dict[str, Any]:
    said: dict[str, Any] = {
        "archive": entry.archive,
        "requested": entry.requested,
        "snapshot": entry.snapshot,
        "path": entry.path,
        "role": entry.role.value,
        "proof": entry.proof.word,
    }
    return said | ({"absent": True} if entry.is_absence else {"size": entry.size, "sha256": entry.sha256})
