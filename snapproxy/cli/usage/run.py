"""Run COMMAND with everything it fetches pinned to WHEN, or to what a lock holds, through a proxy that lives as long as it does."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.endpoints import a_passed_host, an_endpoint
from snapproxy.cli.options import a_time, add_config, add_offline
from snapproxy.core.credentials import is_capture_name

EPILOG = """\
The command gets the proxy variables and an APT_CONFIG; its exit code is passed on (128 + N when signal N ended it),
and so are signals. The last line on stderr tells what was fetched.

  snapproxy run --at WHEN --lock FILE -- COMMAND...        records, and writes the lock whether or not the command goes well
  snapproxy run --locked FILE [--offline] -- COMMAND...    serves the files of the lock, byte for byte, and refuses everything else
  snapproxy run --offline --capture NAME -- COMMAND...     replays a capture
"""


def a_capture(text: str) -> str:
    """Read the name of a capture (an argparse type)."""
    if not is_capture_name(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot name a capture: up to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit, and not x"
        )
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.usage = "snapproxy run (--at WHEN | --locked FILE) [options] -- COMMAND..."
    pinned = parser.add_mutually_exclusive_group()
    pinned.add_argument("--at", type=a_time, metavar="WHEN", dest="when", help="the time")
    pinned.add_argument(
        "--locked", type=Path, metavar="FILE", help="replay this lock: what it does not hold is refused"
    )
    parser.add_argument("--lock", type=Path, metavar="FILE", help="write down everything that was served as a lock")
    parser.add_argument("--capture", type=a_capture, metavar="NAME", help="record everything into this capture")
    parser.add_argument(
        "--pass",
        type=a_passed_host,
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        dest="passes",
        help="a host the command may reach unpinned; may be repeated",
    )
    parser.add_argument(
        "--listen",
        type=an_endpoint,
        default=("127.0.0.1", 0),
        metavar="ADDRESS:PORT",
        help="where the proxy listens (default: a free port on 127.0.0.1)",
    )
    add_config(parser)
    add_offline(parser)
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write what was fetched as JSON")
    parser.add_argument("--json", action="store_true", help="make the last line JSON")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the command and its arguments, after --")
