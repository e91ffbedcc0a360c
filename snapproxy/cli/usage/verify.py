"""Read every file that a capture or a lock names, in the store, and say what is missing or damaged."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A file that has other bytes than its digest says is taken out of the store, so that it is never served again: where upstream can
be asked it is fetched anew, and offline it is missing. Exit code 1 when anything is missing or damaged.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "record", metavar="NAME|LOCK", help="a capture's name; or a file, if it ends in .json or has a slash in it"
    )
    add_json(parser)
    add_config(parser)
