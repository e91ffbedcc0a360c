"""Restore the store from a backup, and print what was restored."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from rich.filesize import decimal

from snapproxy.cli.blocking import stepwise
from snapproxy.cli.execution import run_async, until_terminated
from snapproxy.cli.load_config import config_of
from snapproxy.cli.messages import print_json
from snapproxy.core.time_spec import format_instant
from snapproxy_storage import restore


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code. Root reads the backup, and gives the files to the owner of the store."""
    config = config_of(arguments)
    work = stepwise(lambda step: restore(arguments.folder, config.state_dir, step=step), what="restore")
    summary = run_async(until_terminated(work))
    if arguments.json:
        print_json(asdict(summary))
    print(
        f"snapproxy: restored the state of {format_instant(summary.made)}: {summary.restored} files, "
        f"{decimal(summary.size)}; {summary.journals} open captures",
        file=sys.stderr,
    )
    for digest in summary.damaged:
        print(f"snapproxy: {digest} is damaged in the backup and was left out", file=sys.stderr)
    return int(bool(summary.damaged))
