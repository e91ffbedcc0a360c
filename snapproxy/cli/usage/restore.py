"""Restore the store from a backup, into an empty state directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
The state directory (setting state_dir) must be empty. Every file is compared with its digest before it is used; a
damaged one is left out, and the exit code is 1. An interrupted restore is continued by the same command; until then no
server opens the store. A backup of a newer snapproxy is refused, one of an older one is migrated by the next start.
"""

EXAMPLES = ("restore /srv/backup/snapproxy",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the backup")
    add_json(parser)
    add_config(parser)
