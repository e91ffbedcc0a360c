"""Mark a snapshot of ARCHIVE as bad, so that no time resolves to it.

Running servers apply the mark from their next request on.
"""

from __future__ import annotations

import argparse

from snapproxy.cli.options import a_time, add_archive, add_config, add_json, add_offline
from snapproxy.core.model import Match, TimeSpec
from snapproxy.core.time_spec import read_day

EPILOG = """\
TIME is the id of a snapshot (see `snapproxy timeline`, or X-Snapproxy-Snapshot in an answer), or a time
that resolves to it. After that, a request for its id is refused, and other times skip it, which the answers
report. Nothing is deleted, and locks that name the snapshot can still be replayed.
"""

EXAMPLES = (
    'bad debian 20240601T023036Z --because "dumped during a mirror run"',
    "bad debian 20240601T023036Z --undo",
)

LONGEST_REASON = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_archive(parser)
    parser.add_argument("time", type=_a_snapshot, metavar="TIME", help="a snapshot's id, or a time that resolves to it")
    change = parser.add_mutually_exclusive_group(required=True)
    change.add_argument("--because", type=_a_reason, metavar="TEXT", help="the reason, quoted in every refusal")
    change.add_argument("--undo", action="store_true", help="remove the mark")
    add_config(parser)
    add_offline(parser)
    add_json(parser)


def _a_snapshot(text: str) -> TimeSpec:
    """Read a snapshot's id (an argparse type): an instant, or the folder of a day (2024/05/31) for its last second."""
    day = read_day(text)
    time = a_time(text) if day is None else TimeSpec(text, day, Match.AT)
    if time.instant is None:
        raise argparse.ArgumentTypeError("expected the id of a snapshot, such as 20240601T000000Z")
    return time


def _a_reason(text: str) -> str:
    """Read a reason (an argparse type); any white space becomes one blank."""
    reason = " ".join(text.split())
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise argparse.ArgumentTypeError(f"the reason must be 1 to {LONGEST_REASON} printable characters")
    return reason
