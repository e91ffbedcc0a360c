"""Write the lock of a capture, show a lock in another form, compare two locks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.filesize import decimal

from snapproxy.base.atomic_files import write_file
from snapproxy.capture.forms import FORMS, Writer
from snapproxy.capture.lock import snapshots_by_time
from snapproxy.cli.differences import print_difference
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import read_lock
from snapproxy.cli.source_date_epoch import source_date_epoch
from snapproxy.cli.stored_captures import read_capture
from snapproxy.core.model import Role
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ConfigurationError

WRITERS: Mapping[str, Writer] = {"summary": lambda record, _: summary(record).encode(), **FORMS}
"""Writers of each form (`usage.lock.FORMS`); the arguments are a record and $SOURCE_DATE_EPOCH."""


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    match arguments.words:
        case ["diff", one, other]:
            differ = print_difference(read_lock(Path(one)), read_lock(Path(other)), as_json=arguments.json)
            return int(differ and arguments.exit_code)
        case ["show", file]:
            _write(read_lock(Path(file)), arguments.format or "summary", arguments.output)
        case [name]:
            _write(read_capture(config_of(arguments), name), arguments.format or "lock", arguments.output)
        case _:
            raise ConfigurationError(
                "lock: unrecognized arguments", hint="Call: lock NAME, lock show FILE, or lock diff A B"
            )
    return 0


def summary(record: Record) -> str:
    """Return a summary of a record: a paragraph for each archive and time."""
    lines = []
    for (archive, requested), snapshots in sorted(snapshots_by_time(record.entries).items()):
        entries = [each for each in record.entries if (each.archive, each.requested) == (archive, requested)]
        files = [each for each in entries if not each.is_absence]
        packages = sum(each.role is Role.PACKAGE for each in files)
        proofs = sorted({each.proof for each in entries})
        size, absences = sum(each.size for each in files), len(entries) - len(files)
        lines += [
            f"{archive} at {requested} ({record.families[archive]})",
            f"  snapshot: {', '.join(sorted(snapshots))}",
            f"  files: {len(files)}, {packages} of them packages, {decimal(size)}; absences: {absences}",
            f"  weakest proof: {proofs[0].word}",
        ]
        if valid := record.valid.get((archive, requested)):
            lines.append(f"  identical for any instant in {format_instant(valid[0])}/{format_instant(valid[1])}")
    lines += [f"solver: {solver}" for solver in sorted(record.solvers)]
    lines += [f"unpinned: {host}" for host in sorted(record.unpinned)]
    return "".join(f"{line}\n" for line in lines or ["nothing was served"])


def _write(record: Record, form: str, target: Path | None) -> None:
    data = WRITERS[form](record, source_date_epoch(os.environ))
    if target is None:
        sys.stdout.buffer.write(data)
        return
    write_file(target, data)
