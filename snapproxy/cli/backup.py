"""Copy the store to a folder, and print what was copied."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from rich.filesize import decimal

from snapproxy.base.clock import SystemClock
from snapproxy.cli.blocking import stepwise
from snapproxy.cli.execution import run_async, until_terminated
from snapproxy.cli.load_config import config_of
from snapproxy.cli.messages import print_json
from snapproxy_storage import BackupSummary, back_up


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code. Root writes the backup as root: a service need not reach it."""
    config, now = config_of(arguments), SystemClock().now()
    work = stepwise(
        lambda step: back_up(
            config.state_dir, arguments.folder, with_blobs=not arguments.without_blobs, now=now, step=step
        ),
        what="backup",
    )
    summary = run_async(until_terminated(work))
    if arguments.json:
        print_json(asdict(summary))
    print(f"snapproxy: {_line(summary, has_blobs=not arguments.without_blobs)}", file=sys.stderr)
    for digest in summary.damaged:
        print(f"snapproxy: {digest} is damaged and was not copied; run `snapproxy fsck`", file=sys.stderr)
    return int(bool(summary.damaged))


def _line(summary: BackupSummary, *, has_blobs: bool) -> str:
    state = f"catalog (schema {summary.schema}), {summary.journals} open captures"
    if not has_blobs:
        return f"{state}; no files"
    files = f"{summary.copied} files copied, {decimal(summary.size)}; {summary.present} were there already"
    missing = f"; {summary.missing} names have no stored file" if summary.missing else ""
    return f"{state}; {files}{missing}"
