"""Say which packages of ARCHIVE differ between WHEN1 and WHEN2: what came, what went, what changed its version."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from snapproxy.cli import application
from snapproxy.cli.application import ArchiveDiff, build
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.options import a_time, add_config, add_json, add_offline
from snapproxy.config import Config
from snapproxy.core.listing import Selection
from snapproxy.core.model import Refusal
from snapproxy.core.package_diff import PackageChange, counts

HELP = "list the packages that differ between two times"

EPILOG = """\
apt archives are chosen by --suite; a suite that ends in a slash is a flat repository. The others are chosen by --repo: pacman's by name,
or by folder where they are laid out in another way than Arch Linux; rpm's and apk's by folder, apk's without the architecture.

A line is a package: name, architecture, versions before, versions after, and came, went, up, down or changed (its newest version is the
same, others came or went). Versions are compared as the distribution compares them, and of several the newest stands first. The last
line counts. --json gives all of it for a machine; equal or not, the exit code is 0.
"""

_HEAD = ("name", "arch", "before", "after", "kind")
_NONE = "-"
_GAP = "  "
_MOST = 3  # versions in a cell: a repository that never forgets has dozens, and --json has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("archive", metavar="ARCHIVE", help="debian, debian-security, archlinux, ...")
    parser.add_argument("before", type=a_time, metavar="WHEN1", help="a time")
    parser.add_argument("after", type=a_time, metavar="WHEN2", help="another time; live is now")
    parser.add_argument("--suite", default="", metavar="SUITE", help="apt: the suite, such as bookworm")
    parser.add_argument(
        "--component",
        action="append",
        default=[],
        metavar="NAME",
        help="apt: a component, such as main; may be repeated (default: all of the suite)",
    )
    parser.add_argument(
        "--repo", action="append", default=[], metavar="REPO", help="others: a repository; may be repeated"
    )
    parser.add_argument(
        "--arch",
        action="append",
        default=[],
        metavar="ARCH",
        help="an architecture, in the distribution's words; may be repeated (default: this machine's; rpm: all in the repository)",
    )
    parser.add_argument(
        "--source", action="store_true", help="compare the sources that packages are built from, a line for each"
    )
    add_config(parser)
    add_offline(parser)
    add_json(parser)


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
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
        with _telling() as tell:
            return await application.diff(
                app, arguments.archive, arguments.before.text, arguments.after.text, selection, tell
            )


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Show on a terminal which file is waited for; the first time, a root and an index for each time are."""
    if not sys.stderr.isatty():
        yield lambda _path: None
        return
    with Console(stderr=True).status("") as status:
        yield lambda path: status.update(Text(path))  # plain: an archive's paths may look like rich's markup


def lines(found: ArchiveDiff) -> Iterator[str]:
    """Return a table of what differs, and the line that counts. The component is told where several were compared."""
    has_components = len(found.parts) > 1
    if found.changes:
        head = (*_HEAD, "component") if has_components else _HEAD
        rows = [head, *(_cells(each, has_components=has_components) for each in found.changes)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        for row in rows:
            yield _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    told = ", ".join(f"{count} {kind}" for kind, count in counts(found.changes).items() if count)
    yield f"{', '.join(found.before)} to {', '.join(found.after)}: {told or 'no difference'}"


def as_json(arguments: argparse.Namespace, found: ArchiveDiff) -> dict[str, Any]:
    """Return the comparison for a machine."""
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
        change.architecture or _NONE,
        _told(change.before),
        _told(change.after),
        change.kind.value,
    )
    return (*cells, change.component) if has_components else cells


def _told(versions: Sequence[str]) -> str:
    rest = len(versions) - _MOST
    return ", ".join((*versions[:_MOST], *([f"{rest} more"] if rest > 0 else ()))) or _NONE
