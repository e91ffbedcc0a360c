"""Bring the capture at SRC into the store, every byte verified, so that it can be replayed with no network."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.registry_options import SPELLINGS, a_place, add_access

EPILOG = f"""\
{SPELLINGS}
Where SRC is an image, the capture that is attached to it is brought. The signatures of its roots are checked by the keyrings of this
machine, whatever the artifact says of them. Afterwards the times it was recorded at can be asked for offline, with the capture's name or
without. An import that was broken off is taken up again; until all is there, nothing has a name.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("source", type=a_place, metavar="SRC", help="a place, see below")
    parser.add_argument(
        "--as", dest="name", default="", metavar="NAME", help="the capture's name (default: the tag, else the file's)"
    )
    add_access(parser)
    add_config(parser)
    add_json(parser)
