"""Check the settings: every mistake at once, or what they come to."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json
from snapproxy.config import describe

EPILOG = f"""\
Prints a file that means the same with every default filled in. Settings and their environment variables:
{describe()}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("action", choices=["check"], help="look for mistakes; exit 2 if there is any")
    add_config(parser)
    add_json(parser)
