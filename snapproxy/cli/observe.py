"""Observe an archive and print what was recorded."""

from __future__ import annotations

import argparse
from typing import Any

from snapproxy.cli import application
from snapproxy.cli.application import Swept, build
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.progress import reporting
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import format_instant


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb. The exit code is 1 when nothing was observed, and when packages were asked for and some could not be had."""
    swept = result_of(arguments, _observe)
    if arguments.json:
        print_json(as_json(arguments.archive, swept))
    else:
        _print(swept)
    return 1 if swept.missing else 0


async def _observe(config: Config, arguments: argparse.Namespace) -> Swept | Refusal:
    async with build(config) as app, reporting((), what="observe") as report:
        return await application.observe(
            app, arguments.archive, arguments.paths, with_packages=arguments.packages == "all", progress=report
        )


def as_json(archive: str, swept: Swept) -> dict[str, Any]:
    """Return what was observed, for a machine."""
    return {
        "archive": archive,
        "instant": format_instant(swept.at),
        "roots": list(swept.roots),
        "changed": list(swept.changed),
        "older": list(swept.older),
        "packages": swept.packages,
        "missing": swept.missing,
    }


def _print(swept: Swept) -> None:
    print(format_instant(swept.at))
    for root in swept.roots:
        told = "new" if root in swept.changed else "unchanged"
        print(f"  {root}  {told}{', and older than what was seen last' if root in swept.older else ''}")
    if swept.packages or swept.missing:
        print(f"  {swept.packages} packages brought, {swept.missing} not to be had")
