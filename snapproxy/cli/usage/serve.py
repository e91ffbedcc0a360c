"""Run the proxy until it is stopped by SIGTERM or Ctrl-C. SIGHUP reloads the configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.endpoints import an_endpoint
from snapproxy.cli.options import add_config, add_offline
from snapproxy.cli.registry_options import a_place
from snapproxy.config import describe
from snapproxy.oci.places import LayoutPlace, TarPlace

EPILOG = f"""\
Settings, each in the configuration file or in its environment variable (tables and lists as JSON):
{describe()}
"""

EXAMPLES = (
    "serve",
    "serve --listen 127.0.0.1:3142 --listen [::1]:3142",
    "serve --from oci-archive:mybuild.tar",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument(
        "--listen",
        type=an_endpoint,
        action="append",
        metavar="ADDRESS:PORT",
        help="the address to listen on, instead of the `listen` setting; may be repeated",
    )
    parser.add_argument(
        "--only-pinned",
        action="store_true",
        help='refuse live to clients, like the setting allow = ["pinned"]',
    )
    add_config(parser)
    add_offline(parser)
    parser.add_argument(
        "--from",
        type=an_artifact,
        metavar="ARTIFACT",
        dest="artifact",
        help="serve only an exported capture, from its place (oci:DIR[:TAG], oci-archive:FILE[:TAG])",
    )
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="while serving, keep FILE with the addresses and the process id as JSON",
    )


def an_artifact(text: str) -> LayoutPlace | TarPlace:
    """Read the place of an artifact that can be served without an import (an argparse type)."""
    place = a_place(text)
    if not isinstance(place, LayoutPlace | TarPlace):
        raise argparse.ArgumentTypeError(
            "only oci: and oci-archive: can be served without an import; run `snapproxy import` for other places"
        )
    return place
