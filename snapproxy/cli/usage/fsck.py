"""Hash all stored files from the disk, fetch damaged ones again, and check the catalog and the folders of the store."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A damaged file is moved to the folder `quarantine` of the state directory, which keeps up to 64 files and 256 MiB, and
is never served again. If a name needs it, it is fetched from upstream again, unless upstream sends other bytes.

A request notices a stored file whose size, time or inode has changed. It cannot notice a byte that the disk returns
wrong, or that was changed with the old times restored: only this command and `verify` read the file. A server does the
same in the background (settings fsck_every and fsck_rate), and continues after a restart.

It may run while a server runs, and reads at the lowest priority. The exit code is 1 if a damaged file that is needed
was not fetched again, or if the catalog is damaged.
"""

EXAMPLES = (
    "fsck",
    "fsck --rate 200MB --json",
    "fsck --no-fetch",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument(
        "--rate",
        metavar="BYTES",
        help='bytes that are read in a second at most, such as 50MB (default: the setting fsck_rate, "20MB")',
    )
    parser.add_argument("--no-fetch", action="store_true", help="do not ask upstream for damaged files")
    add_json(parser)
    add_config(parser)
