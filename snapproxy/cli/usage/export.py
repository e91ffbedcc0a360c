"""Export the capture NAME to DEST: as an OCI artifact in a folder, a tar or a registry, or as a tree of plain files."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.registry_options import PLACES, a_place, add_access
from snapproxy.cli.repo_options import add_client

EPILOG = f"""\
{PLACES}
dir:PATH is a tree of folders that file: sources can name without snapproxy:
  deb file:PATH/debian/20240601T000000Z bookworm main

The last line of the output names the result: repository@sha256:..., or the digest of the manifest.
Equal captures have equal digests. The only time in the result is $SOURCE_DATE_EPOCH.

The folders of dnf's cache are named after the repositories of the image that will use it, so --as-image needs
the repository files of that image:
  snapproxy export NAME DEST --as-image --repo-file fedora.repo --var releasever=40 --var basearch=x86_64
In that image, dnf --cacheonly (-C) installs without network. So does dnf without that option, if the repository
file has metadata_expire=never.
"""

EXAMPLES = (
    "export mybuild oci:./mybuild",
    "export mybuild docker://registry.example.org/team/captures:mybuild",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("name", metavar="NAME", help="a capture")
    parser.add_argument("dest", type=a_place, metavar="DEST", help="the destination, see below")
    parser.add_argument(
        "--bare",
        action="store_true",
        help="titles are paths in the one repository captured, as apt-transport-oci reads them",
    )
    parser.add_argument(
        "--except",
        type=Path,
        dest="omitted",
        metavar="LOCK",
        help="omit the files that this lock names, because the recipient has them",
    )
    parser.add_argument(
        "--blobs-only",
        action="store_true",
        help="only the packages, to be requested by digest, and a manifest that keeps the registry from deleting them",
    )
    parser.add_argument(
        "--as-image",
        action="store_true",
        help="instead of an artifact, an image with one layer: the package cache of the client (apt, pacman, apk, dnf)",
    )
    parser.add_argument(
        "--arch",
        default="",
        metavar="ARCH",
        help="--as-image: the architecture of the image, as images name it (default: that of the packages)",
    )
    add_client(parser)
    add_access(parser)
    add_config(parser)
    add_json(parser)
