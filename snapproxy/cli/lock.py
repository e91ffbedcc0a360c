"""Show a lock in another form, or say in what two of them differ."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from snapproxy.capture import cyclonedx, intoto, sha256sums, spdx, strict_json
from snapproxy.capture.diff import compare
from snapproxy.capture.lock import encode, snapshots_by_time
from snapproxy.capture.lock_reader import decode
from snapproxy.cli.common import add_json, print_json
from snapproxy.core.model import Instant, Role
from snapproxy.core.record import Record
from snapproxy.core.when import spell
from snapproxy.errors import ConfigurationError, RecordError

HELP = "show a lock in other forms, or compare two"

EPILOG = """\
  snapproxy lock show FILE [--format FORM]   what the lock FILE says, for people or in another form
  snapproxy lock diff A B                    what differs in the lock B, seen from the lock A

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

_EPOCH = re.compile(r"[0-9]{1,11}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "words", nargs="+", metavar="WORD", help="what to do, and with which locks: show FILE, or diff A B"
    )
    parser.add_argument("--format", choices=FORMS, default="summary", metavar="FORM", help="the form of `show`")
    parser.add_argument("--exit-code", action="store_true", help="diff: exit with 1 when the two differ")
    add_json(parser, "diff: print JSON")


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    match arguments.words:
        case ["show", file]:
            data = FORMS[arguments.format](read(Path(file)), source_date_epoch(os.environ))
            sys.stdout.buffer.write(data)
            return 0
        case ["diff", one, other]:
            return _diff(read(Path(one)), read(Path(other)), arguments)
    raise ConfigurationError("lock: that is none of its calls", hint="lock show FILE, or lock diff A B")


def read(file: Path) -> Record:
    """Read a lock from a file. Raises RecordError, with the file's name; OSError when it cannot be opened."""
    with file.open("rb") as opened:
        data = opened.read(strict_json.LARGEST + 1)
    try:
        return decode(data)
    except RecordError as error:
        raise RecordError(error.reason, why=f"{file}: {error.why}", hint=error.hint) from None


def source_date_epoch(environ: Mapping[str, str]) -> Instant | None:
    """Return the time that documents may bear, None without one (reproducible-builds.org/specs/source-date-epoch)."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not _EPOCH.fullmatch(text):
        raise ConfigurationError(
            "SOURCE_DATE_EPOCH is no time",
            why=f"It is {text[:40]!r}.",
            hint="Set it to seconds since 1970, or unset it.",
        )
    return int(text)


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
            lines.append(f"  identical for any instant in {spell(valid[0])}/{spell(valid[1])}")
    lines += [f"unpinned: {host}" for host in sorted(record.unpinned)]
    return "".join(f"{line}\n" for line in lines or ["nothing was served"])


def _diff(one: Record, other: Record, arguments: argparse.Namespace) -> int:
    found = compare(one, other)
    if arguments.json:
        print_json(found.value())
    else:
        print(table(found.rows({**one.families, **other.families})), end="")
    return int(bool(found) and arguments.exit_code)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns, without trailing blanks; an empty cell is a dash."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join((cell or "-").ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)
