"""Observe an archive and print the recorded roots."""

from __future__ import annotations

import argparse
from typing import Any

from snapproxy.cli import application
from snapproxy.cli.application import Observation, build
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.progress import reporting
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import format_instant


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code: 1 if packages were requested and some are unavailable."""
    swept = result_of(arguments, _observe)
    if arguments.json:
        print_json(as_json(arguments.archive, swept))
    else:
        _print(swept)
    return 1 if swept.missing else 0


async def _observe(config: Config, arguments: argparse.Namespace) -> Observation | Refusal:
    async with build(config) as app, reporting((), what="observe") as report:
        return await application.observe(
            app, arguments.archive, arguments.paths, with_packages=arguments.packages == "all", progress=report
        )


def as_json(archive: str, swept: Observation) -> dict[str, Any]:
    """Return the observation as JSON."""
    return {
        "archive": archive,
        "instant": format_instant(swept.at),
        "roots": list(swept.roots),
        "absent": list(swept.absent),
        "beside": list(swept.beside),
        "changed": list(swept.changed),
        "older": list(swept.older),
        "packages": swept.packages,
        "missing": swept.missing,
        "dropped": swept.dropped,
    }


def _print(swept: Observation) -> None:
    print(format_instant(swept.at))
    for root in swept.roots:
        state = "new" if root in swept.changed else "unchanged"
        older = ", and older than the last observed one" if root in swept.older else ""
        print(f"  {root}  {state}{older}")
    for path in swept.beside:
        print(f"  {path}  kept")
    for path in swept.absent:
        print(f"  {path}  absent")
    if swept.packages or swept.missing:
        print(f"  {swept.packages} packages fetched, {swept.missing} unavailable")
    if swept.dropped:
        print(f"  unusable entries of indexes that were dropped: {swept.dropped} (see the log)")
