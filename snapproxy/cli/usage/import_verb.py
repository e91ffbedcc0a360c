"""Import the capture at SRC into the store, every byte verified, so that it can be replayed without network."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.registry_options import PLACES, a_place, add_access

EPILOG = f"""\
{PLACES}
If SRC is an image, the capture that is attached to it is imported. The signatures of its roots are checked
against the keyrings of this machine; statements of the artifact are not used. Afterwards a request for a time
that the capture recorded can be answered offline, with or without the capture's name. An interrupted import can
be repeated and continues where it ended; no name is recorded before all files are stored.
"""

EXAMPLES = ("import oci-archive:mybuild.tar --as mybuild",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("source", type=a_place, metavar="SRC", help="the source, see below")
    parser.add_argument(
        "--as",
        dest="name",
        default="",
        metavar="NAME",
        help="the name of the capture (default: the tag, otherwise the name of the file)",
    )
    add_access(parser)
    add_config(parser)
    add_json(parser)
