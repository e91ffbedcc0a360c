"""Options and argument types of the verbs that reach registries."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.errors import SnapproxyError
from snapproxy.oci.places import Place, Reference, read_place

PLACES = """\
A place is oci:DIR[:TAG] (an image layout), oci-archive:FILE.tar[:TAG] (an image layout in a tar), or
docker://REGISTRY/REPOSITORY[:TAG|@sha256:HEX]. Logins are read from the files of docker, podman and skopeo.
A registry on this machine may use plain HTTP.
"""


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add the options for logins and transport."""
    parser.add_argument("--authfile", type=Path, metavar="FILE", help="read logins from this file only")
    parser.add_argument("--plain-http", action="store_true", help="use HTTP, not HTTPS, for the registry")
    parser.add_argument(
        "--tls-verify",
        choices=("true", "false"),
        default="true",
        metavar="true|false",
        help="whether the registry's certificate is verified (default: true)",
    )


def a_place(text: str) -> Place:
    """Read a place (an argparse type)."""
    try:
        return read_place(text)
    except SnapproxyError as error:
        raise argparse.ArgumentTypeError(error.sentences) from None


def a_reference(text: str) -> Reference:
    """Read a place in a registry (an argparse type)."""
    place = a_place(text)
    if not isinstance(place, Reference):
        raise argparse.ArgumentTypeError("expected the image to attach to: docker://REGISTRY/REPOSITORY@sha256:HEX")
    return place
