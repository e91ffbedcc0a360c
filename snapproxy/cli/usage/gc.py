"""Remove stored files that nothing needs, those served least recently first, and report the others.

Without --to or --free the settings decide: files are removed only if more is stored than 95 % of `quota`, down
to 90 %, or if less than `free_space` would stay free.
"""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A running server does the same by itself, every minute and when a download has no room. Never removed are the
files of captures, pins, observed archives, present sets, and downloads. Index tables go before files, because they
can be built again. A removed file that a client is still reading is "pending": the disk frees it when the client
has finished. Captures that were never closed expire (the setting `capture_keep`).
"""

EXAMPLES = ("gc --dry-run", "gc --free 20GB", "gc --to 100GB --json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("--dry-run", action="store_true", help="report what would be removed, and remove nothing")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--to", metavar="BYTES", help="remove files until at most BYTES are stored")
    goal.add_argument("--free", metavar="BYTES", help="remove files of BYTES, such as 20GB")
    add_config(parser)
    add_json(parser)
