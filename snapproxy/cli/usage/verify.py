"""Hash every stored file that a capture or a lock names, and report those that are missing or damaged."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A file whose bytes do not match its digest is removed from the store, so that it is never served again. Online it is
downloaded again when it is requested; offline it is missing. The exit code is 1 if a file is missing or damaged.
"""

EXAMPLES = (
    "verify mybuild",
    "verify ./snapproxy.lock.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument(
        "record", metavar="NAME|LOCK", help="a capture's name; or a file, if it ends in .json or contains a slash"
    )
    add_json(parser)
    add_config(parser)
