"""List the snapshots of ARCHIVE: the times that can be requested."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_archive, add_config, add_json, add_offline, an_instant

EPILOG = """\
A line is the id of a snapshot; or FIRST/LAST, a span in which every second can be requested. An archive whose
server answers for every second has such spans, and so has each observed state of a root, whose id and path follow.
If there is none, a message on stderr says so; the list is empty and the exit code 0.
"""

EXAMPLES = ("timeline debian --from 2024-06-01 --to 2024-07-01",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_archive(parser)
    parser.add_argument(
        "--from", dest="start", type=an_instant, metavar="TIME", help="the first instant (default: 30 days before --to)"
    )
    parser.add_argument("--to", dest="end", type=an_instant, metavar="TIME", help="the last instant (default: now)")
    add_config(parser)
    add_offline(parser)
    add_json(parser)
