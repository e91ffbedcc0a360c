"""Options and argument types that several verbs have."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.core import time_spec
from snapproxy.core.model import Instant, Match, TimeSpec
from snapproxy.errors import SnapproxyError

PIN_KINDS = ("capture", "snapshot", "lock")


def add_archive(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add ARCHIVE, or one and more of them."""
    text = "an archive, built in or configured: debian, ubuntu, archlinux, ..."
    parser.add_argument("archive", metavar="ARCHIVE", nargs="+" if several else None, help=text)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration file (default: $SNAPPROXY_CONFIG, otherwise /etc/snapproxy/config.toml)",
    )


def add_offline(parser: argparse.ArgumentParser) -> None:
    """Add --offline."""
    parser.add_argument(
        "--offline", action="store_true", help="answer from the store alone; refusals name the missing files"
    )


def add_json(parser: argparse.ArgumentParser, text: str = "print JSON") -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=text)


def a_time(text: str) -> TimeSpec:
    """Read TIME (an argparse type)."""
    if time_spec.read_day(text) is not None:
        # The folder's instant differs by archive: it is the time within that day at which the archive synchronised.
        day = text.replace("/", "-")
        raise argparse.ArgumentTypeError(
            f"{text} is the name of a folder, not a time; use {day} (midnight UTC), "
            "or the time of the folder as `snapproxy resolve ARCHIVE TIME` prints it"
        )
    try:
        return time_spec.parse_time(text)
    except SnapproxyError as error:
        raise argparse.ArgumentTypeError(error.sentences) from None


def a_lasting_time(text: str) -> TimeSpec:
    """Read TIME (an argparse type), except `latest`, which would change between an update and its install."""
    time = a_time(text)
    if time.match is Match.LATEST:
        raise argparse.ArgumentTypeError(
            "latest would change between update and install; `snapproxy resolve ARCHIVE latest` prints the id to use"
        )
    return time


def an_instant(text: str) -> Instant:
    """Read TIME (an argparse type), which must be one instant."""
    instant = a_time(text).instant
    if instant is None:
        raise argparse.ArgumentTypeError("expected a date or an instant, such as 2024-06-01 or 20240601T000000Z")
    return instant


def add_pin(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a pin."""
    parser.add_argument("kind", nargs="?", choices=PIN_KINDS, metavar="KIND", help="capture, snapshot or lock")
    parser.add_argument("words", nargs="*", metavar="WORD", help="NAME, or ARCHIVE TIME, or FILE, see below")
    add_offline(parser)
    add_config(parser)
    add_json(parser)
