"""Attach the capture NAME to the image at DEST, in its registry, so that whoever has the image's name finds what it was built from."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.progress import reporting
from snapproxy.cli.registry_access import access_of, print_exported
from snapproxy.cli.registry_options import a_reference, add_access
from snapproxy.cli.source_date_epoch import source_date_epoch
from snapproxy.config import Config

if TYPE_CHECKING:
    from snapproxy.jobs.export import Exported

HELP = "attach a capture to an image in a registry"

EPILOG = """\
DEST is docker://REGISTRY/REPOSITORY@sha256:HEX; with a tag, it is the image that bears the tag now. The capture becomes a referrer of
the image (OCI 1.1); where the registry does not know of those, it is also listed under the tag sha256-HEX. `snapproxy import DEST` finds it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("name", metavar="NAME", help="a capture")
    parser.add_argument("dest", type=a_reference, metavar="DEST", help="the image, see below")
    add_access(parser)
    add_config(parser)
    add_json(parser)


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    config = config_of(arguments)
    with run_as_owner.acting(config.state_dir):
        exported = run_async(_attach(config, arguments))
    print_exported(exported, as_json=arguments.json)
    return 0


async def _attach(config: Config, arguments: argparse.Namespace) -> Exported:
    from snapproxy.jobs.export import ExportOptions  # noqa: PLC0415  # loads the registries' client, which --help does not need

    wish = ExportOptions(created=source_date_epoch(os.environ), access=access_of(arguments))
    async with build(config, offline=True) as app:
        record = await app.captures.record(arguments.name)
        with run_as_owner.aside():
            async with reporting((), what="attach") as report:
                return await app.exporter.attach(record, arguments.dest, wish, report)
