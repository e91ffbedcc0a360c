"""Write the capture NAME to DEST: as an OCI artifact, in a folder, a tar or a registry; or as a plain tree of files."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.registry_options import SPELLINGS, a_place, add_access
from snapproxy.cli.repo_options import add_client

EPILOG = f"""\
{SPELLINGS}
dir:PATH is a tree whose folders file: sources can name with no snapproxy: deb file:PATH/debian/20240601T000000Z bookworm main.

The last line names what was written: repository@sha256:..., or the digest of the manifest. Equal captures have equal digests. The only
time in it is $SOURCE_DATE_EPOCH.

dnf's cache is called after the repositories of the image that will use it, so their files are needed:
  snapproxy export NAME DEST --as-image --repo-file fedora.repo --var releasever=40 --var basearch=x86_64
There, dnf --cacheonly (-C) installs with no network; so does dnf without it if the file says metadata_expire=never.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("name", metavar="NAME", help="a capture")
    parser.add_argument("dest", type=a_place, metavar="DEST", help="a place, see below")
    parser.add_argument(
        "--bare",
        action="store_true",
        help="titles are paths in the one repository captured, as apt-transport-oci reads them",
    )
    parser.add_argument(
        "--except",
        type=Path,
        dest="held",
        metavar="LOCK",
        help="leave out the files that this lock names: the other side has them",
    )
    parser.add_argument(
        "--blobs-only",
        action="store_true",
        help="only the packages, to be asked for by digest, and a manifest that keeps them",
    )
    parser.add_argument(
        "--as-image",
        action="store_true",
        help="an image whose one layer is the client's own cache of packages (apt, pacman, apk, dnf), not an artifact",
    )
    parser.add_argument(
        "--arch", default="", metavar="ARCH", help="--as-image: the machine, as images call it (default: the packages')"
    )
    add_client(parser)
    add_access(parser)
    add_config(parser)
    add_json(parser)
