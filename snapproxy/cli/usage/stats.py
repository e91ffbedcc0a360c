"""Print the stored files by archive and by snapshot, or the counters of a running server."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json
from snapproxy.client_config import DEFAULT_BASE

EPILOG = """\
A file has a name in each snapshot in which it was requested, and is stored once. The columns: names, of which the
files of MISSING are not stored; BYTES, each file counted for each of its names; DISTINCT, each file once; OWN, what no
other archive or snapshot has; SAVED, what is saved because each file is stored once.
With --url the counters are read from /-/stats of a server.
"""

EXAMPLES = ("stats", "stats --snapshots --json", "stats --url http://127.0.0.1:3142 --json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("--snapshots", action="store_true", help="list every snapshot too")
    parser.add_argument(
        "--url",
        nargs="?",
        const=DEFAULT_BASE,
        metavar="URL",
        help=f"print the counters of the server at URL (default: {DEFAULT_BASE})",
    )
    add_config(parser)
    add_json(parser)
