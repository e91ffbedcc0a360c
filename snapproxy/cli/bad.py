"""Mark a snapshot as bad, or remove the mark."""

from __future__ import annotations

import argparse

from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.times import mark_bad, open_times
from snapproxy.config import Config
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.time_spec import format_instant


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    marked = result_of(arguments, _mark)
    if arguments.json:
        print_json({"archive": arguments.archive, "snapshot": format_instant(marked), "bad": not arguments.undo})
    else:
        print(f"{arguments.archive}/{format_instant(marked)}  {'no longer marked' if arguments.undo else 'marked'} bad")
    return 0


async def _mark(config: Config, arguments: argparse.Namespace) -> Instant | Refusal:
    async with open_times(config, offline=arguments.offline) as app:
        return await mark_bad(app, arguments.archive, arguments.time, None if arguments.undo else arguments.because)
