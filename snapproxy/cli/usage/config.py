"""Validate the settings, or print the effective configuration."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json
from snapproxy.config import describe

EPILOG = f"""\
check reports every mistake, or "ok", and the keyrings that are missing. show prints a configuration file with the same
meaning in which every default is filled in.

Settings and their environment variables:
{describe()}
"""

EXAMPLES = (
    "config check",
    "config show --config ./config.toml",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument(
        "action",
        choices=["check", "show"],
        help="check: validate the settings, exit 2 if there is a mistake; show: print all settings",
    )
    add_config(parser)
    add_json(parser)
