"""Fetch files of ARCHIVE as they were at TIME, verified, through the store."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import a_time, add_archive, add_config, add_json, add_offline

EPILOG = """\
Each file is written to DIR under its own file name. The exit code is 0 only if every file was fetched.
"""

EXAMPLES = ("fetch debian 2024-06-01 dists/bookworm/InRelease --output-dir downloads",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_archive(parser)
    parser.add_argument("time", type=a_time, metavar="TIME", help="a time")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a path in the archive, such as dists/bookworm/InRelease"
    )
    parser.add_argument(
        "--output-dir", type=Path, default=Path(), metavar="DIR", help="where to write the files (default: here)"
    )
    add_config(parser)
    add_offline(parser)
    add_json(parser)
