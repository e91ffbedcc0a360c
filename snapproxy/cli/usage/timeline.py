"""List the instants of ARCHIVE that can be asked for."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json, add_offline, an_instant

EPILOG = """\
A line is a snapshot's id; or first/last where every second between them is answered the same way: all of an archive whose server
answers for every second, or an observation of one root, whose id and path follow.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("archive", metavar="ARCHIVE", help="debian, debian-security, ubuntu, ...")
    parser.add_argument(
        "--from", dest="start", type=an_instant, metavar="WHEN", help="the first instant (default: 30 days before --to)"
    )
    parser.add_argument("--to", dest="end", type=an_instant, metavar="WHEN", help="the last instant (default: now)")
    add_config(parser)
    add_offline(parser)
    add_json(parser)
