"""Check this installation: settings, folders, programs, keyrings, clock, listeners, and the reach of upstreams."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
Each line has a check, its result (ok, warning, problem) and what to do. Nothing is changed: the store is read and not
opened, no folder is created, nothing is recorded about an upstream.

Keyrings and upstreams are checked for the archives that the store or the settings use, or those that are named. Each
of their hosts gets one HEAD request within its rate limit; one that is cooling down gets none, and the end of its
cool-down is shown. The exit code is 1 if there is a problem, otherwise 0.
"""

EXAMPLES = (
    "doctor",
    "doctor debian --json",
    "doctor --offline",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument(
        "archive", metavar="ARCHIVE", nargs="*", help="the archives to check (default: those that are used)"
    )
    parser.add_argument("--offline", action="store_true", help="send no request to upstreams")
    parser.add_argument(
        "--seconds", type=float, default=20.0, metavar="N", help="time for the requests to upstreams (default: 20)"
    )
    add_json(parser)
    add_config(parser)
