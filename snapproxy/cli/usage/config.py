"""Validate the settings: report every mistake, or print the effective configuration."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json
from snapproxy.config import describe

EPILOG = f"""\
Prints a configuration file with the same meaning in which every default is filled in.
Settings and their environment variables:
{describe()}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("action", choices=["check"], help="validate the settings; exit 2 if there is a mistake")
    add_config(parser)
    add_json(parser)
