"""Export a capture to a layout, a registry or a tree of files."""

from __future__ import annotations

import argparse
import os
import sys

from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import read_lock
from snapproxy.cli.progress import reporting
from snapproxy.cli.registry_access import access_of, print_exported
from snapproxy.cli.repo_options import settings_of
from snapproxy.cli.source_date_epoch import source_date_epoch
from snapproxy.config import Config
from snapproxy.errors import ConfigurationError
from snapproxy.families import LIST_CACHES
from snapproxy.jobs.export import Exported, ExportOptions

NO_LISTS = (
    "snapproxy: the image has apt's packages without package lists: apt installs them by path "
    "(/var/cache/apt/archives/*.deb). To install by name, add the sources of the image: --repo-file FILE"
)


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    config = config_of(arguments)
    options = options_of(arguments)
    with run_as_owner.acting(config.state_dir):
        exported = run_async(_export(config, arguments, options))
    print_exported(exported, as_json=arguments.json)
    return 0


def options_of(arguments: argparse.Namespace) -> ExportOptions:
    """Return the options of the export. Raises ConfigurationError for options that exclude one another."""
    kinds = [name for name in ("bare", "blobs_only", "as_image") if getattr(arguments, name)]
    is_image_option = arguments.arch or arguments.repo_file or arguments.var or arguments.repo_key
    if len(kinds) > 1 or (is_image_option and not arguments.as_image) or (arguments.omitted and arguments.as_image):
        raise ConfigurationError(
            "export: these options exclude one another",
            why="At most one of --bare, --blobs-only and --as-image is possible. "
            "--arch, --repo-file, --var and --repo-key need --as-image; --except excludes it.",
        )
    return ExportOptions(
        bare=arguments.bare,
        created=source_date_epoch(os.environ),
        known=read_lock(arguments.omitted) if arguments.omitted else None,
        blobs_only=arguments.blobs_only,
        as_image=arguments.as_image,
        architecture=arguments.arch,
        settings=settings_of(arguments),
        access=access_of(arguments),
    )


async def _export(config: Config, arguments: argparse.Namespace, options: ExportOptions) -> Exported:
    async with build(config, offline=True) as app:
        record = await app.captures.record(arguments.name)
        if options.as_image and options.settings is None and LIST_CACHES.keys() & set(record.families.values()):
            print(NO_LISTS, file=sys.stderr)
        with run_as_owner.aside():
            async with reporting((), what="export") as report:
                return await app.exporter.export(record, arguments.dest, options, report)
