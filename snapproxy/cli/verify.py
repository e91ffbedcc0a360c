"""Hash the stored files that a capture or a lock names, and report faults."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import read_lock
from snapproxy.cli.messages import print_json
from snapproxy.cli.progress import reporting
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.core.record import Record
from snapproxy.jobs.verify import StoredFault, Verified, verify


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    config = config_of(arguments)
    is_file = "/" in arguments.record or arguments.record.endswith(".json")
    lock = read_lock(Path(arguments.record)) if is_file else None
    with run_as_owner.acting(config.state_dir):
        found = run_async(_verify(config, arguments.record, lock))
    if arguments.json:
        print_json(_as_json(found))
    else:
        print(format_table([_row(fault) for fault in found.faults]), end="")
    print(f"snapproxy: {_line(found)}", file=sys.stderr)
    return int(bool(found.faults))


async def _verify(config: Config, name: str, lock: Record | None) -> Verified:
    async with build(config, offline=True) as app:
        record = await app.captures.record(name) if lock is None else lock
        paths = {entry.sha256: entry.path for entry in record.entries if not entry.is_absence}
        async with reporting(paths, what="verify") as progress:
            return await verify(record, app.store.blobs, progress)


def _row(fault: StoredFault) -> tuple[str, str, str]:
    first, more = fault.entries[0], len(fault.entries) - 1
    name = f"{first.archive}/{first.snapshot}/{first.path}"
    return fault.what, fault.sha256[:12], f"{name} (and {more} other names)" if more else name


def _line(found: Verified) -> str:
    count = f"{found.files} files, {decimal(found.size)}"
    if not found.faults:
        return f"{count}: all present and intact"
    damaged = sum(fault.what == "damaged" for fault in found.faults)
    removed = "; the damaged files were removed from the store" if damaged else ""
    return f"{count}: {len(found.faults)} missing or damaged{removed}"


def _as_json(found: Verified) -> dict[str, Any]:
    faults = [
        {
            "fault": fault.what,
            "sha256": fault.sha256,
            "names": [f"{entry.archive}/{entry.snapshot}/{entry.path}" for entry in fault.entries],
        }
        for fault in found.faults
    ]
    return {"files": found.files, "bytes": found.size, "faults": faults}
