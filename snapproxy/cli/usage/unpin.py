"""Remove a pin: the files that only it protected can be removed when room is needed."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_pin

EPILOG = """\
  snapproxy unpin capture NAME
  snapproxy unpin snapshot ARCHIVE TIME
  snapproxy unpin lock FILE
"""

EXAMPLES = ("unpin snapshot debian 20240601T000000Z",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_pin(parser)
