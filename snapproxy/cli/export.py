"""Write the capture NAME to DEST: as an OCI artifact, in a folder, a tar or a registry; or as a plain tree of files."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import read_lock
from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.progress import reporting
from snapproxy.cli.registry_access import access_of, print_exported
from snapproxy.cli.registry_options import SPELLINGS, a_place, add_access
from snapproxy.cli.repo_options import add_client, settings_of
from snapproxy.cli.source_date_epoch import source_date_epoch
from snapproxy.config import Config
from snapproxy.errors import ConfigurationError

if TYPE_CHECKING:
    from snapproxy.jobs.export import Exported, ExportOptions

HELP = "write a capture to a layout, a registry or a tree of files"

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


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    config = config_of(arguments)
    wish = wish_of(arguments)
    with run_as_owner.acting(config.state_dir):
        exported = run_async(_export(config, arguments, wish))
    print_exported(exported, as_json=arguments.json)
    return 0


def wish_of(arguments: argparse.Namespace) -> ExportOptions:
    """Return what is wanted of the capture. Raises ConfigurationError for wishes that exclude one another."""
    from snapproxy.jobs.export import ExportOptions  # noqa: PLC0415  # loads the registries' client, which --help does not need

    kinds = [name for name in ("bare", "blobs_only", "as_image") if getattr(arguments, name)]
    imaging = arguments.arch or arguments.repo_file or arguments.var or arguments.repo_key
    if len(kinds) > 1 or (imaging and not arguments.as_image) or (arguments.held and arguments.as_image):
        raise ConfigurationError(
            "export: these options exclude one another",
            why="One of --bare, --blobs-only and --as-image says what is written; "
            "--arch, --repo-file, --var and --repo-key belong to --as-image, --except does not.",
        )
    return ExportOptions(
        bare=arguments.bare,
        created=source_date_epoch(os.environ),
        held=read_lock(arguments.held) if arguments.held else None,
        blobs_only=arguments.blobs_only,
        as_image=arguments.as_image,
        architecture=arguments.arch,
        settings=settings_of(arguments),
        access=access_of(arguments),
    )


async def _export(config: Config, arguments: argparse.Namespace, wish: ExportOptions) -> Exported:
    async with build(config, offline=True) as app:
        record = await app.captures.record(arguments.name)
        with run_as_owner.aside():
            async with reporting((), what="export") as report:
                return await app.exporter.export(record, arguments.dest, wish, report)
