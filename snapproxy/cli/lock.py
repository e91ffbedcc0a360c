"""Write the lock of a capture, show a lock in another form, or say in what two of them differ."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from snapproxy.capture import cyclonedx, intoto, sha256sums, spdx
from snapproxy.capture.lock import encode, snapshots_by_time
from snapproxy.cli import run_as_owner
from snapproxy.cli.application import build
from snapproxy.cli.atomic_files import write_atomically
from snapproxy.cli.differences import print_difference
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.lock_files import read_lock
from snapproxy.cli.options import add_config, add_json
from snapproxy.cli.source_date_epoch import source_date_epoch
from snapproxy.config import Config
from snapproxy.core.model import Instant, Role
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ConfigurationError

HELP = "write a capture's lock, show or compare locks"

EPILOG = """\
  snapproxy lock NAME [--format FORM] [--output FILE]        what the capture NAME holds; as a lock, if nothing else is said
  snapproxy lock show FILE [--format FORM] [--output FILE]   what the lock FILE says; summed up, if nothing else is said
  snapproxy lock diff A B                                    what differs in the lock B, seen from the lock A

FORM is summary; lock (its canonical bytes); sha256sums (packages, as repro-get has them); sha256sums-titled (every file, as an
artifact's reader lays them down); cyclonedx (1.6), spdx (2.3) or in-toto. The only time in any of them is $SOURCE_DATE_EPOCH.
"""

FORMS: Mapping[str, Callable[[Record, Instant | None], bytes]] = {
    "summary": lambda record, _: summary(record).encode(),
    "lock": lambda record, _: encode(record),
    "sha256sums": lambda record, _: sha256sums.of_packages(record),
    "sha256sums-titled": lambda record, _: sha256sums.of_titles(record),
    "cyclonedx": cyclonedx.write,
    "spdx": spdx.write,
    "in-toto": lambda record, _: intoto.write(record),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("words", nargs="+", metavar="WORD", help="NAME of a capture, or show FILE, or diff A B")
    parser.add_argument("--format", choices=FORMS, metavar="FORM", help="another form, see below")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there, whole or not at all")
    parser.add_argument("--exit-code", action="store_true", help="diff: exit with 1 when the two differ")
    add_json(parser, "diff: print JSON")
    add_config(parser)


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    match arguments.words:
        case ["diff", one, other]:
            differ = print_difference(read_lock(Path(one)), read_lock(Path(other)), as_json=arguments.json)
            return int(differ and arguments.exit_code)
        case ["show", file]:
            _write(read_lock(Path(file)), arguments.format or "summary", arguments.output)
        case [name]:
            _write(_captured(name, config_of(arguments)), arguments.format or "lock", arguments.output)
        case _:
            raise ConfigurationError(
                "lock: that is none of its calls", hint="lock NAME, lock show FILE, or lock diff A B"
            )
    return 0


def summary(record: Record) -> str:
    """Say what a record holds: a paragraph for each archive and time."""
    lines = []
    for (archive, requested), snapshots in sorted(snapshots_by_time(record.entries).items()):
        entries = [each for each in record.entries if (each.archive, each.requested) == (archive, requested)]
        files = [each for each in entries if not each.is_absence]
        packages = sum(each.role is Role.PACKAGE for each in files)
        proofs = sorted({each.proof for each in entries})
        size = sum(each.size for each in files)
        lines += [
            f"{archive} at {requested} ({record.families[archive]})",
            f"  snapshot: {', '.join(sorted(snapshots))}",
            f"  files: {len(files)}, {packages} of them packages, {size} bytes; absences: {len(entries) - len(files)}",
            f"  weakest proof: {proofs[0].word}",
        ]
        if valid := record.valid.get((archive, requested)):
            lines.append(f"  identical for any instant in {format_instant(valid[0])}/{format_instant(valid[1])}")
    lines += [f"unpinned: {host}" for host in sorted(record.unpinned)]
    return "".join(f"{line}\n" for line in lines or ["nothing was served"])


def _captured(name: str, config: Config) -> Record:
    async def work() -> Record:
        async with build(config, offline=True) as app:
            return await app.captures.record(name)

    with run_as_owner.acting(config.state_dir):
        return run_async(work())


def _write(record: Record, form: str, target: Path | None) -> None:
    data = FORMS[form](record, source_date_epoch(os.environ))
    if target is None:
        sys.stdout.buffer.write(data)
        return
    write_atomically(target, data)
