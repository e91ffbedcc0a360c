"""Print the packages that differ between two times."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from snapproxy.cli import application
from snapproxy.cli.application import ArchiveDiff, build
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.core.listing import Selection
from snapproxy.core.model import Refusal
from snapproxy.core.package_diff import PackageChange, counts
from snapproxy.core.progress import SILENT, Progress

_HEAD = ("name", "arch", "before", "after", "kind")
_MOST_VERSIONS = 3
"""Maximum number of versions in one cell. A repository that keeps all versions has dozens; --json prints them all."""


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    found = result_of(arguments, _compare)
    if arguments.json:
        print_json(as_json(arguments, found))
    else:
        print("\n".join(lines(found)))
    return 0


async def _compare(config: Config, arguments: argparse.Namespace) -> ArchiveDiff | Refusal:
    selection = Selection(
        suite=arguments.suite,
        components=tuple(dict.fromkeys((*arguments.component, *arguments.repo))),
        architectures=tuple(dict.fromkeys(arguments.arch)),
        machine=platform.machine(),
        by_source=arguments.source,
    )
    async with build(config, offline=arguments.offline) as app:
        with _reporting() as progress:
            return await application.diff(
                app, arguments.archive, arguments.before.text, arguments.after.text, selection, progress
            )


class _CurrentFile:
    """Shows on a terminal the file that is being downloaded."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def advance(self, path: str, done: int, total: int | None) -> None:
        del done, total
        self._status.update(Text(path))  # plain text: a path may look like the markup of rich

    def finish(self, path: str) -> None:
        """Keep the path on display until the next one."""


@contextmanager
def _reporting() -> Iterator[Progress]:
    """Show the current file on a terminal; print nothing if the output is not a terminal."""
    if not sys.stderr.isatty():
        yield SILENT
        return
    with Console(stderr=True).status("") as status:
        yield _CurrentFile(status)


def lines(found: ArchiveDiff) -> Iterator[str]:
    """Return the table of differences and the line of counts. The table has components if several were compared."""
    has_components = len(found.parts) > 1
    if found.changes:
        head = (*_HEAD, "component") if has_components else _HEAD
        rows = [head, *(_cells(each, has_components=has_components) for each in found.changes)]
        yield from format_table(rows).splitlines()
    counted = ", ".join(f"{count} {kind}" for kind, count in counts(found.changes).items() if count)
    yield f"{', '.join(found.before)} to {', '.join(found.after)}: {counted or 'no difference'}"


def as_json(arguments: argparse.Namespace, found: ArchiveDiff) -> dict[str, Any]:
    """Return the comparison as JSON."""
    return {
        "archive": arguments.archive,
        "before": {"when": arguments.before.text, "snapshots": list(found.before)},
        "after": {"when": arguments.after.text, "snapshots": list(found.after)},
        "components": list(found.parts),
        "counts": counts(found.changes),
        "packages": [
            {
                "name": each.name,
                "architecture": each.architecture,
                "component": each.component,
                "kind": each.kind.value,
                "before": list(each.before),
                "after": list(each.after),
            }
            for each in found.changes
        ],
    }


def _cells(change: PackageChange, *, has_components: bool) -> Sequence[str]:
    cells = (
        change.name,
        change.architecture,
        _versions(change.before),
        _versions(change.after),
        change.kind.value,
    )
    return (*cells, change.component) if has_components else cells


def _versions(versions: Sequence[str]) -> str:
    rest = len(versions) - _MOST_VERSIONS
    return ", ".join((*versions[:_MOST_VERSIONS], *([f"{rest} more"] if rest > 0 else ())))
