"""Copy the store to a folder, consistently, while servers use it."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
DIR is a new folder, or that of an earlier backup: then only the files are copied that it lacks. An earlier backup stays
whole until the new one is; a backup that is interrupted leaves it as it was. The cache directory is not copied, because
it is built again. Files that the store has removed stay in DIR.

Every copied file is compared with its digest; a damaged one is not copied, and the exit code is 1. Names whose file is
not stored are counted: they are downloaded again when they are requested.
"""

EXAMPLES = (
    "backup /srv/backup/snapproxy",
    "backup --without-blobs /srv/backup/catalog",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the backup")
    parser.add_argument(
        "--without-blobs", action="store_true", help="copy names and captures only; files are downloaded again"
    )
    add_json(parser)
    add_config(parser)
