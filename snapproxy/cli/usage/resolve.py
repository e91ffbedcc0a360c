"""Say which snapshot of ARCHIVE answers for WHEN."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import a_time, add_config, add_json, add_offline

EPILOG = """\
Prints the snapshot's time alone, as --at and addresses take it, so that it can be used in scripts. What else there is to be said,
and the folder's name where an archive keeps a folder a day, goes to stderr.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("archive", metavar="ARCHIVE", help="debian, debian-security, ubuntu, ...")
    parser.add_argument("when", type=a_time, metavar="WHEN", help="a time; latest is the newest settled snapshot")
    add_config(parser)
    add_offline(parser)
    add_json(parser)
