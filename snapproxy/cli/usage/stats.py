"""Print the figures of a running server."""

from __future__ import annotations

import argparse

from snapproxy.client_config import DEFAULT_BASE

EPILOG = "Read from the server's /-/stats."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("--url", default=DEFAULT_BASE, metavar="URL", help=f"the server (default {DEFAULT_BASE})")
    parser.add_argument("--json", action="store_true", help="print JSON")
