"""Print the snapshots of an archive between two instants."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from snapproxy.cli import application
from snapproxy.cli.application import TimelineEntry, build
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import format_instant

#: The time that is listed when --from is not given: the 30 days before --to.
USUAL_SECONDS = 30 * 86400


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    found = result_of(arguments, _list)
    if arguments.json:
        print_json([as_json(each) for each in found])
    else:
        for each in found:
            print(line(each))
    return 0


async def _list(config: Config, arguments: argparse.Namespace) -> Sequence[TimelineEntry] | Refusal:
    async with build(config, offline=arguments.offline) as app:
        end = app.clock.now() if arguments.end is None else arguments.end
        start = end - USUAL_SECONDS if arguments.start is None else arguments.start
        return await application.timeline(app, arguments.archive, start, end)


def line(entry: TimelineEntry) -> str:
    """Return an entry as one line."""
    words = [entry.snapshot] if entry.first == entry.last and not entry.root else [_stretch(entry)]
    if entry.root:
        words += [entry.snapshot, entry.root]
    if entry.is_bad:
        words.append(f"(marked bad: {entry.because})" if entry.because else "(marked bad)")
    elif not entry.is_settled:
        words.append("(not settled)")
    return "  ".join(words)


def as_json(entry: TimelineEntry) -> dict[str, Any]:
    """Return an entry for a machine."""
    told: dict[str, Any] = {
        "snapshot": entry.snapshot,
        "from": format_instant(entry.first),
        "to": format_instant(entry.last),
        "settled": entry.is_settled,
        "bad": entry.is_bad,
    }
    further = {"root": entry.root, "because": entry.because}
    return told | {key: value for key, value in further.items() if value}


def _stretch(entry: TimelineEntry) -> str:
    return f"{format_instant(entry.first)}/{format_instant(entry.last)}"
