"""Find the first snapshot at which COMMAND fails, and the package that changed, as `git bisect run` does."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.endpoints import a_passed_host
from snapproxy.cli.options import add_config, add_json, an_instant

EPILOG = """\
COMMAND runs as with `snapproxy run --at`, once for each tested snapshot, and its output goes to stderr. It should
start from a clean state and empty package lists each time. Its exit code decides: 0 good, 125 skip (the snapshot
cannot be tested), 1 to 127 bad. 128 and more ends the search, and so does a run that says nothing about its snapshot:
it failed after files were refused because an upstream failed, or it requested no root. 64 snapshots take at most 6
runs, and one more if an end has not been run and its packages are needed.

The snapshots are those after --good up to --bad, of every archive. If --good is the later one, the search finds the
last bad snapshot: the one after it has the fix. Without --archive, the command runs at --good first, and the archives
that it used then are searched. Archives that answer for every second are tested by the hour.

The result is the last good and the first bad snapshot, and the packages that differ between them: first those that
the command uses. If exactly one of those differs, it is the cause. If several differ and the client is apt, the command
runs at the last good snapshot with some packages of the first bad one (a second source and preferences in its
APT_CONFIG), until one fails alone: log2 of their number and one more run. Such a run counts only if the command
downloaded exactly these versions. Otherwise, and for other clients, the suspects are listed.

The exit code is 0 if the snapshot is found, 3 if skipped snapshots leave a range, 1 if the search fails, 2 for
invalid arguments. --json prints one document.
"""

EXAMPLES = ("bisect --good 2024-06-01 --bad 2024-07-01 --archive debian --log bisect.log -- ./build-and-test.sh",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.usage = "snapproxy bisect --good TIME --bad TIME [options] -- COMMAND..."
    parser.add_argument("--good", type=an_instant, required=True, metavar="TIME", help="an instant that is good")
    parser.add_argument("--bad", type=an_instant, required=True, metavar="TIME", help="an instant that is bad")
    parser.add_argument(
        "--archive",
        action="append",
        default=[],
        metavar="ARCHIVE",
        dest="archives",
        help="an archive whose snapshots are tested; may be repeated (default: those that the command uses)",
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="write each result to FILE; the same command line with the same FILE continues the search",
    )
    parser.add_argument(
        "--check-ends", action="store_true", help="run the command at both ends first (2 more runs), not trusting them"
    )
    parser.add_argument(
        "--no-mix",
        action="store_false",
        dest="mix",
        help="apt: do not run the command with packages of both snapshots if several of its packages changed",
    )
    parser.add_argument(
        "--pass",
        type=a_passed_host,
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        dest="passes",
        help="a host that the command may reach unpinned; may be repeated",
    )
    add_config(parser)
    add_json(parser)
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the command and its arguments, after --")
