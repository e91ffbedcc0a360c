"""Mark a snapshot of ARCHIVE as bad, so that no time is answered with it any more; running servers obey at once."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import a_time, add_config, add_json, add_offline
from snapproxy.core.model import Match, TimeSpec
from snapproxy.core.time_spec import read_day

EPILOG = """\
WHEN is the id of a snapshot (X-Snapproxy-Snapshot tells it, and `snapproxy timeline`), or a time that it answers for. Its own id is
refused from now on, and other times pass it over, which their answers say. Nothing is deleted, and locks that name it still replay.
"""


LONGEST_WHY = 200


def _a_snapshot(text: str) -> TimeSpec:
    """Read an id: an instant, or the folder of a day (2024/05/31), whose last second it stands for."""
    day = read_day(text)
    when = a_time(text) if day is None else TimeSpec(text, day, Match.HELD)
    if when.instant is None:
        raise argparse.ArgumentTypeError("a snapshot's id is wanted, such as 20240601T000000Z")
    return when


def _a_reason(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > LONGEST_WHY or not words.isprintable():
        raise argparse.ArgumentTypeError(f"some words are wanted, {LONGEST_WHY} characters at most")
    return words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("archive", metavar="ARCHIVE", help="the name of a row, built in or your own")
    parser.add_argument("when", type=_a_snapshot, metavar="WHEN", help="a snapshot's id, or a time that it answers for")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--because", type=_a_reason, metavar="TEXT", help="why: told to whoever asks for it")
    what.add_argument("--undo", action="store_true", help="take the mark back")
    add_config(parser)
    add_offline(parser)
    add_json(parser)
