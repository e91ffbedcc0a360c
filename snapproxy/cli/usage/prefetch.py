"""Fetch packages, and what they depend on, into a capture: by name, from lists, or all of a suite."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import a_lasting_time, add_config, add_json

EPILOG = """\
Three kinds of selections:
  prefetch ARCHIVE --at TIME PACKAGE...    the packages and their dependencies, by the distribution's own solver
  prefetch --from LIST [ARCHIVE...]        the files that a list names; --list-formats prints the known formats
  prefetch ARCHIVE --at TIME --all         every package of the selection

The signed roots and the indexes are fetched as well, so that the client's own update works from the capture. The
solvers are apt-get, pacman, dnf and apk, which must be on this machine, or in the root that --root names. A PACKAGE of
apt may be a pattern, such as '?essential' or '?priority(required)'.

A list without a time of its own needs --at, or the times are found: the history of the archive is searched for each
version, and the smallest set of times that has all of them is used. Entries that are ambiguous, not found
or out of reach are printed, and fail the command. Entries without a digest of the file are printed and fetched.

The command can be interrupted and repeated: files in the store are not downloaded again, and an interrupted download
is resumed. The exit code is 0 only if every file was fetched, or with --dry-run if every entry was found.
"""

EXAMPLES = (
    "prefetch debian --at 2024-06-01 --suite bookworm --arch amd64 build-essential --capture tools",
    "prefetch debian --at 2024-06-01 --suite bookworm,debian-security:bookworm-security curl --dry-run",
    "prefetch --from hello_2.10-3_amd64.buildinfo --capture hello",
)

_REPEATED = "may be repeated, or separated by commas"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.usage = "snapproxy prefetch [ARCHIVE] [--at TIME] [options] [PACKAGE...]"
    parser.add_argument(
        "names",
        nargs="*",
        metavar="ARCHIVE PACKAGE",
        help="the archive, then the packages; with --from, only archives, to which the search is restricted",
    )
    parser.set_defaults(scattered="names")
    parser.add_argument("--at", type=a_lasting_time, metavar="TIME", dest="time", help="the time")
    _add_selection(parser)
    _add_closure(parser)
    lists = parser.add_argument_group("lists")
    lists.add_argument(
        "--from",
        action="append",
        default=[],
        metavar="LIST",
        dest="lists",
        help="a list of packages: a file, a folder of a package database, or - for stdin; may be repeated",
    )
    lists.add_argument("--list-formats", action="store_true", help="print the known formats of lists and exit")
    parser.add_argument("--capture", default="", metavar="NAME", help="record everything into this capture")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the number of files, the bytes and the estimated time, and exit"
    )
    add_config(parser)
    add_json(parser, "print the result as JSON; each file, and each entry of a list")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    selection = parser.add_argument_group("selection")
    selection.add_argument(
        "--suite",
        action="append",
        default=[],
        metavar="SUITE",
        help=f"apt: a suite, or ARCHIVE:SUITE for a suite of another archive; {_REPEATED}",
    )
    selection.add_argument(
        "--component",
        action="append",
        default=[],
        metavar="NAME",
        help=f"apt: a component; {_REPEATED} (default: main; with --all: all of the suite)",
    )
    selection.add_argument(
        "--repo",
        action="append",
        default=[],
        metavar="REPO",
        help=f"others: a repository; {_REPEATED} (default for pacman: core, extra)",
    )
    selection.add_argument(
        "--arch",
        action="append",
        default=[],
        metavar="ARCH",
        help=f"an architecture, as the distribution names it; the first one is the native one; {_REPEATED} "
        "(default: this machine's)",
    )
    selection.add_argument("--all", action="store_true", help="every package of the selection; sizes are printed first")


def _add_closure(parser: argparse.ArgumentParser) -> None:
    closure = parser.add_argument_group("dependencies")
    closure.add_argument(
        "--recommends",
        action=argparse.BooleanOptionalAction,
        help="include recommended packages (default: as the distribution does)",
    )
    closure.add_argument(
        "--build-dep",
        action="append",
        default=[],
        metavar="SOURCE",
        help=f"apt: the build dependencies of a source package; {_REPEATED}",
    )
    closure.add_argument(
        "--base",
        type=Path,
        metavar="FILE",
        help="apt: a dpkg status file; its packages count as installed (default: nothing is installed)",
    )
    closure.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="a root of the release, whose package manager computes the dependencies (default: this machine's)",
    )
    closure.add_argument(
        "--any-solver",
        action="store_true",
        help="apt: use the solver of this machine if it lacks that of the release; the set of packages can differ",
    )
