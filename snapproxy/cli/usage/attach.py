"""Attach the capture NAME to the image DEST in its registry, so that the image leads to the record of its build."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.registry_options import a_reference, add_access

EPILOG = """\
DEST is docker://REGISTRY/REPOSITORY@sha256:HEX. With a tag instead, it is the image that has the tag now.
The capture becomes a referrer of the image (OCI 1.1). In a registry without the referrers API it is also
listed under the tag sha256-HEX. `snapproxy import DEST` finds it there.
"""

EXAMPLES = ("attach mybuild docker://registry.example.org/team/app:1.0",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("name", metavar="NAME", help="a capture")
    parser.add_argument("dest", type=a_reference, metavar="DEST", help="the image, see below")
    add_access(parser)
    add_config(parser)
    add_json(parser)
