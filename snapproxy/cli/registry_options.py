"""What the verbs that reach registries share: options, places as argparse types, and how a result is told."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.errors import SnapproxyError
from snapproxy.oci.places import Place, Reference, read_place

SPELLINGS = """\
A place is oci:DIR[:TAG] (an image layout), oci-archive:FILE.tar[:TAG] (one in a tar), or docker://REGISTRY/REPOSITORY[:TAG|@sha256:HEX].
Logins are found where docker, podman and skopeo keep them. A registry on this machine may speak plain HTTP.
"""


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how registries are reached."""
    parser.add_argument("--authfile", type=Path, metavar="FILE", help="the only file with logins that is looked at")
    parser.add_argument("--plain-http", action="store_true", help="speak HTTP, not HTTPS, to the registry")
    parser.add_argument(
        "--tls-verify",
        choices=("true", "false"),
        default="true",
        metavar="true|false",
        help="whether the registry's certificate is checked (default: true)",
    )


def a_place(text: str) -> Place:
    """Read a place (an argparse type)."""
    try:
        return read_place(text)
    except SnapproxyError as error:
        raise argparse.ArgumentTypeError(str(error).replace("\n", " ")) from None


def a_reference(text: str) -> Reference:
    """Read a place in a registry (an argparse type)."""
    place = a_place(text)
    if not isinstance(place, Reference):
        raise argparse.ArgumentTypeError("docker://REGISTRY/REPOSITORY@sha256:HEX is wanted: the image to attach to")
    return place
