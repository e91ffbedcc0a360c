"""Check all stored files, and print the damaged ones and what else was found."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from rich.filesize import decimal

from snapproxy.cli.application import build
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json, printable
from snapproxy.cli.progress import reporting
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.config.value_types import byte_rate
from snapproxy.errors import ConfigurationError
from snapproxy.space.check_report import Blemishes, CheckReport, DamagedFile, report_as_json


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    report = result_of(arguments, _check)
    if arguments.json:
        print_json(report_as_json(report))
    else:
        print(format_table([_row(each) for each in report.damaged]), end="")
        print(*_lines(report.blemishes), sep="\n")
    print(f"snapproxy: {report.line()}", file=sys.stderr)
    return int(report.is_bad)


def _rate(text: str) -> int:
    try:
        return byte_rate(text)
    except ValueError as error:
        raise ConfigurationError("The rate cannot be read", why=f"--rate {text}", hint=f"Write {error}.") from None


async def _check(config: Config, arguments: argparse.Namespace) -> CheckReport:
    rate = _rate(arguments.rate) if arguments.rate else config.fsck_rate
    async with (
        build(config, offline=arguments.no_fetch) as app,
        reporting((), what="fsck") as progress,
    ):
        return await app.fsck.run(rate, progress)


def _row(file: DamagedFile) -> tuple[str, str, str]:
    name = file.names[0] if file.names else "no name needs it"
    more = f" (and {file.count - 1} other names)" if file.count > 1 else ""
    why = f": {file.why}" if file.why else ""
    return f"damaged, {file.outcome.value}", file.digest[:12], printable(f"{name}{more}{why}")


def _lines(found: Blemishes) -> Iterator[str]:
    yield from (f"catalog: damaged: {printable(fault)}" for fault in found.catalog)
    if not found.catalog:
        yield "catalog: intact"
    yield f"names whose file is not stored: {found.missing}, {decimal(found.missing_size)} (fetched when requested)"
    yield f"downloads that are running or interrupted: {found.drafts}, {decimal(found.drafts_size)}"
    yield f"open captures: {found.journals}"
    if found.quarantined:
        yield f"quarantine: {found.quarantined} damaged files, {decimal(found.quarantined_size)} (delete them freely)"
    yield from (f"journal of no capture: journals/{name} (delete it)" for name in found.stray_journals)
    yield from (
        f"not a file of snapproxy: {printable(name)} (move it out of the state directory)" for name in found.strangers
    )
