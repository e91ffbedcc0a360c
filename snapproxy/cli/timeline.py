"""Print the snapshots of an archive between two instants."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.times import TimelineEntry, open_times, timeline
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import format_instant

DEFAULT_SECONDS = 30 * 86400
"""Length of the listed span if --from is not given."""


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    found = result_of(arguments, _list)
    if arguments.json:
        print_json([as_json(each) for each in found])
    else:
        for each in found:
            print(line(each))
    return 0


async def _list(config: Config, arguments: argparse.Namespace) -> Sequence[TimelineEntry] | Refusal:
    async with open_times(config, offline=arguments.offline) as app:
        end = app.clock.now() if arguments.end is None else arguments.end
        start = end - DEFAULT_SECONDS if arguments.start is None else arguments.start
        return await timeline(app, arguments.archive, start, end)


def line(entry: TimelineEntry) -> str:
    """Return an entry as one line."""
    words = [entry.snapshot] if entry.first == entry.last and not entry.root else [_span(entry)]
    if entry.root:
        words += [entry.snapshot, entry.root]
    if entry.is_bad:
        words.append(f"(marked bad: {entry.because})" if entry.because else "(marked bad)")
    elif not entry.is_settled:
        words.append("(not settled)")
    return "  ".join(words)


def as_json(entry: TimelineEntry) -> dict[str, Any]:
    """Return an entry as JSON."""
    value: dict[str, Any] = {
        "snapshot": entry.snapshot,
        "from": format_instant(entry.first),
        "to": format_instant(entry.last),
        "settled": entry.is_settled,
        "bad": entry.is_bad,
    }
    optional = {"root": entry.root, "because": entry.because}
    return value | {key: text for key, text in optional.items() if text}


def _span(entry: TimelineEntry) -> str:
    return f"{format_instant(entry.first)}/{format_instant(entry.last)}"
