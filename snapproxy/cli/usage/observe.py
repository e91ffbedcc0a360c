"""Observe ARCHIVE now: record its roots and everything that they list, so that this instant can be requested later."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_archive, add_config, add_json

EPILOG = """\
PATH is a root, such as dists/bookworm/InRelease, which is observed with every package index that it names;
or one index, which is observed alone with its root; or a file that no index lists, such as a key beside the
repository. Roots of one call are observed together and form a consistent set. Nothing is recorded before everything
is stored.
"""

EXAMPLES = (
    "observe alpine v3.20/main/x86_64/APKINDEX.tar.gz",
    "observe debian dists/sid/InRelease --packages all",
    "observe docker dists/bookworm/InRelease gpg",
)

PACKAGES = {
    "used": "keep the packages that clients request (the default)",
    "all": "download every package that the indexes list and the store lacks",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_archive(parser)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a root, an index, or a file beside them")
    parser.add_argument(
        "--packages",
        choices=PACKAGES,
        default="used",
        help="; ".join(f"{name}: {meaning}" for name, meaning in PACKAGES.items()),
    )
    add_config(parser)
    add_json(parser)
