"""Run COMMAND with a separate proxy that pins every download to TIME, or to the files of a lock."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.endpoints import a_passed_host, an_endpoint
from snapproxy.cli.options import a_time, add_config, add_offline
from snapproxy.core.credentials import is_capture_name

EPILOG = """\
The command gets the proxy variables and an APT_CONFIG. Signals are forwarded to it. The exit code is the command's
(128 + N if signal N ended it), or 1 if --strict fails. The last line on stderr summarizes the downloads.

  snapproxy run --at TIME --lock FILE -- COMMAND...        record, and write the lock even if the command fails
  snapproxy run --locked FILE [--offline] -- COMMAND...    serve the files of the lock, byte for byte; refuse all others
  snapproxy run --offline --capture NAME -- COMMAND...     replay a capture
"""

EXAMPLES = (
    "run --at 2024-06-01 -- apt-get update",
    "run --at 2024-06-01 --lock snapproxy.lock.json -- make image",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.usage = "snapproxy run (--at TIME | --locked FILE) [options] -- COMMAND..."
    pinned = parser.add_mutually_exclusive_group()
    pinned.add_argument("--at", type=a_time, metavar="TIME", dest="time", help="the time")
    pinned.add_argument(
        "--locked", type=Path, metavar="FILE", help="replay this lock; files that it does not list are refused"
    )
    parser.add_argument("--lock", type=Path, metavar="FILE", help="write a lock of everything that was served")
    parser.add_argument("--capture", type=a_capture, metavar="NAME", help="record everything into this capture")
    parser.add_argument(
        "--pass",
        type=a_passed_host,
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        dest="passes",
        help="a host that the command may reach unpinned; may be repeated",
    )
    parser.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        help="fail if no root was requested, so that a client may have used metadata of another time "
        "(default: only with --lock and when recording into a capture)",
    )
    parser.add_argument(
        "--listen",
        type=an_endpoint,
        default=("127.0.0.1", 0),
        metavar="ADDRESS:PORT",
        help="the address on which the proxy listens (default: a free port on 127.0.0.1)",
    )
    add_config(parser)
    add_offline(parser)
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the summary to FILE as JSON")
    parser.add_argument("--json", action="store_true", help="print the last line as JSON")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the command and its arguments, after --")


def a_capture(text: str) -> str:
    """Read the name of a capture (an argparse type)."""
    if not is_capture_name(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid capture name: "
            "1 to 63 of a-z, 0-9, '.', '_', '-', the first a letter or digit; the name x is reserved"
        )
    return text
