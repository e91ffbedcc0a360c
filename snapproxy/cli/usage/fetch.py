"""Fetch files of ARCHIVE as they were at WHEN, verified, through the store."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import a_time, add_config, add_json, add_offline

EPILOG = "Files land in DIR under their own names. The exit code is 0 only if every one of them did."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("archive", metavar="ARCHIVE", help="debian, debian-security, ubuntu, ...")
    parser.add_argument("when", type=a_time, metavar="WHEN", help="a time")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a path in the archive, such as dists/bookworm/InRelease"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="where to put them (default: here)"
    )
    add_config(parser)
    add_offline(parser)
    add_json(parser)
