"""Observe ARCHIVE now: remember its roots and all that they vouch for, so that this instant can be asked for later."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
A PATH is a root, such as dists/bookworm/InRelease, observed with every index of packages it names; or one index, observed
alone with its root. Roots of one call are taken in one sweep and belong together. Nothing is written down until all of it is here.
"""


PACKAGES = {
    "used": "keep the packages that clients ask for (the default)",
    "all": "bring every package that the indexes name and the store lacks",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("archive", metavar="ARCHIVE", help="the name of a row, built in or your own")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a root or an index in the archive")
    parser.add_argument(
        "--packages",
        choices=PACKAGES,
        default="used",
        help="; ".join(f"{name}: {meaning}" for name, meaning in PACKAGES.items()),
    )
    add_config(parser)
    add_json(parser)
