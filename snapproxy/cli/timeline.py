"""Print the snapshots of an archive between two instants."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.times import TimelineEntry, open_times, timeline
from snapproxy.config import Config
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.time_spec import format_instant

HOW_TO_OBSERVE = "Observe it from now on: `snapproxy observe ARCHIVE PATH`, or [[watch]] in the configuration."
HOW_TO_WIDEN = "List another span with --from and --to."

DEFAULT_SECONDS = 30 * 86400
"""Length of the listed span if --from is not given."""


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    found, start, end, is_observed = result_of(arguments, _list)
    if not found:
        known, hint = ("was observed", HOW_TO_OBSERVE) if is_observed else ("exists", HOW_TO_WIDEN)
        span = f"between {format_instant(start)} and {format_instant(end)}"
        print(f"snapproxy: no snapshot of {arguments.archive} {known} {span}\n  {hint}", file=sys.stderr)
    if arguments.json:
        print_json([as_json(each) for each in found])
    else:
        for each in found:
            print(line(each))
    return 0


async def _list(
    config: Config, arguments: argparse.Namespace
) -> tuple[Sequence[TimelineEntry], Instant, Instant, bool] | Refusal:
    """Return the entries, the listed span, and whether only observations provide the past of the archive."""
    async with open_times(config, offline=arguments.offline) as app:
        end = app.clock.now() if arguments.end is None else arguments.end
        start = end - DEFAULT_SECONDS if arguments.start is None else arguments.start
        found = await timeline(app, arguments.archive, start, end)
        is_observed = app.context(app.archive(arguments.archive)).history.is_observed
        return found if isinstance(found, Refusal) else (found, start, end, is_observed)


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
