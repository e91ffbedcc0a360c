"""Attach a capture to an image in a registry."""

from __future__ import annotations

import argparse
import os

from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.execution import result_of
from snapproxy.cli.progress import reporting
from snapproxy.cli.registry_access import access_of, print_exported
from snapproxy.cli.source_date_epoch import source_date_epoch
from snapproxy.config import Config
from snapproxy.jobs.export import Exported, ExportOptions


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    print_exported(result_of(arguments, _attach), as_json=arguments.json)
    return 0


async def _attach(config: Config, arguments: argparse.Namespace) -> Exported:
    options = ExportOptions(created=source_date_epoch(os.environ), access=access_of(arguments))
    async with build(config, offline=True) as app:
        record = await app.captures.record(arguments.name)
        with run_as_owner.aside():
            async with reporting((), what="attach") as report:
                return await app.exporter.attach(record, arguments.dest, options, report)
