"""Options and argument types that several verbs have."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.core import time_spec
from snapproxy.core.model import Instant, Match, TimeSpec
from snapproxy.errors import SnapproxyError


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (else $SNAPPROXY_CONFIG, else /etc/snapproxy/config.toml)"
    )


def add_offline(parser: argparse.ArgumentParser) -> None:
    """Add --offline."""
    parser.add_argument(
        "--offline", action="store_true", help="answer from the store alone; what it lacks is refused by name"
    )


def add_json(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=what)


def a_time(text: str) -> TimeSpec:
    """Read a WHEN argument (an argparse type)."""
    if time_spec.read_day(text) is not None:
        # Which instant it would be differs by archive: its own synchronisation, somewhere in that day.
        day = text.replace("/", "-")
        raise argparse.ArgumentTypeError(
            f"{text} is a folder's name; a time is {day} (its midnight), and `snapproxy resolve ARCHIVE WHEN` prints that of a folder"
        )
    try:
        return time_spec.parse_time(text)
    except SnapproxyError as error:
        raise argparse.ArgumentTypeError(str(error).replace("\n", " ")) from None


def a_lasting_time(text: str) -> TimeSpec:
    """Read a WHEN that stays put for longer than one request: `latest` would move between an update and its install."""
    read = a_time(text)
    if read.match is Match.LATEST:
        raise argparse.ArgumentTypeError(
            "latest would move between update and install; `snapproxy resolve ARCHIVE latest` prints the id to use"
        )
    return read


def an_instant(text: str) -> Instant:
    """Read a WHEN that is one instant (an argparse type)."""
    instant = a_time(text).instant
    if instant is None:
        raise argparse.ArgumentTypeError("an instant is wanted, such as 2024-06-01 or 20240601T000000Z")
    return instant
