"""Clean up the store and print the report."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.filesize import decimal

from snapproxy.cli.application import build
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.config.value_types import byte_size
from snapproxy.errors import ConfigurationError
from snapproxy.space.gc_report import GcReport
from snapproxy.space.order import Shortage
from snapproxy.space.protected_files import Cause, FileFigures


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code: 1 if less could be removed than was requested."""
    for option in ("free", "to"):
        setattr(arguments, option, _size(getattr(arguments, option), f"--{option}"))
    report = result_of(arguments, _clean_up)
    if arguments.json:
        print_json(report.as_json())
    else:
        print("\n".join(_lines(report)))
    return int(report.removed.size < report.wanted)


def _size(text: str | None, option: str) -> int | None:
    """Read a number of bytes, with or without a unit. Raises ConfigurationError."""
    if text is None or (text.isascii() and text.isdigit()):
        return None if text is None else int(text)
    try:
        return byte_size(text)
    except ValueError as error:
        raise ConfigurationError(f"The value of {option} is not a size", why=f"Expected {error}.") from None


async def _clean_up(config: Config, arguments: argparse.Namespace) -> GcReport:
    async with build(config, offline=True) as app:
        space = app.store.space
        if not space.is_counted:
            await space.recount()
        shortage = None
        if arguments.free is not None:
            shortage = Shortage(blobs=arguments.free)
        elif arguments.to is not None:
            shortage = Shortage(blobs=max(0, space.stored + space.kept - arguments.to))
        return await app.collector.run(shortage, is_dry_run=arguments.dry_run)


def _lines(report: GcReport) -> Iterator[str]:
    quota = "no quota" if report.quota is None else f"of the quota of {decimal(report.quota)}"
    rows = [("stored", *_cells(report.stored), quota)]
    protected = report.protected
    rows += [(f"  {cause.word}", *_cells(protected.get(cause, FileFigures())), "protected") for cause in Cause]
    rows.append(("  removable", *_cells(report.removable), ""))
    rows.append(("in flight", "", decimal(report.in_flight), "running downloads"))
    rows.append(("interrupted", "", decimal(report.interrupted), "downloads that can be resumed"))
    yield format_table(rows).rstrip("\n")
    yield from _removals(report)
    if report.removed.size < report.wanted:
        yield f"{decimal(report.wanted)} were to be freed: the other files are protected (snapproxy pin --list)"


def _removals(report: GcReport) -> Iterator[str]:
    would = "would be " * report.is_dry_run
    size = decimal(report.removed.size)
    if report.is_dry_run or not report.pending:
        yield f"{report.removed.files} files, {size}, {would}removed"
    else:
        yield (
            f"{report.removed.files} files, {size}, removed: {decimal(report.reclaimed)} reclaimed, "
            f"{decimal(report.pending)} pending until clients have read them"
        )
    yield f"{report.tables.files} tables, {decimal(report.tables.size)}, {would}removed; they are built again on demand"
    if not report.is_dry_run:
        yield f"{report.names} names without files dropped, {report.drafts} interrupted downloads removed"
    for name in report.expired:
        yield f"the capture {name} was never closed and {'would expire' if report.is_dry_run else 'has expired'}"


def _cells(figures: FileFigures) -> tuple[str, str]:
    return f"{figures.files} files", decimal(figures.size)
