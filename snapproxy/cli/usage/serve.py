"""Serve until stopped (SIGTERM or Ctrl-C)."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.endpoints import an_endpoint
from snapproxy.cli.options import add_config, add_offline
from snapproxy.cli.registry_options import a_place
from snapproxy.config import describe
from snapproxy.oci.places import LayoutPlace, TarPlace

EPILOG = f"""\
Settings, each in the file or in its environment variable (tables and lists as JSON):
{describe()}
"""


def an_artifact(text: str) -> LayoutPlace | TarPlace:
    """Read where an artifact lies that can be served from there (an argparse type)."""
    place = a_place(text)
    if not isinstance(place, LayoutPlace | TarPlace):
        raise argparse.ArgumentTypeError(
            "only oci: and oci-archive: are served in place; `snapproxy import` the others"
        )
    return place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "--listen",
        type=an_endpoint,
        action="append",
        metavar="ADDRESS:PORT",
        help="where to listen, instead of the settings; may be repeated",
    )
    add_config(parser)
    add_offline(parser)
    parser.add_argument(
        "--from",
        type=an_artifact,
        metavar="ARTIFACT",
        dest="artifact",
        help="serve an exported capture from where it lies (oci:DIR[:TAG], oci-archive:FILE[:TAG]), and nothing else",
    )
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="while serving, holds JSON with the addresses and the process id",
    )
