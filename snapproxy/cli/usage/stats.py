"""Print the counters of a running server."""

from __future__ import annotations

import argparse

from snapproxy.client_config import DEFAULT_BASE

EPILOG = """\
The counters are read from /-/stats of the server.
"""

EXAMPLES = ("stats --url http://127.0.0.1:3142 --json",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("--url", default=DEFAULT_BASE, metavar="URL", help=f"the server (default: {DEFAULT_BASE})")
    parser.add_argument("--json", action="store_true", help="print JSON")
