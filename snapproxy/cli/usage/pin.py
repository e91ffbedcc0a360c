"""Protect the stored files of a capture, a snapshot or a lock from removal, or list the pins."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_pin

EPILOG = """\
  snapproxy pin capture NAME            a capture: it does not expire
  snapproxy pin snapshot ARCHIVE TIME   a snapshot of an archive: what the store has of it, now and later
  snapproxy pin lock FILE               a lock: what the store has of its files
  snapproxy pin --list                  the pins, and what the store has of each

Captures protect their files by themselves until they are removed. A pin fetches nothing: `snapproxy prefetch` does.
"""

EXAMPLES = ("pin capture mybuild", "pin snapshot debian 20240601T000000Z", "pin --list --json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_pin(parser)
    parser.add_argument("--list", action="store_true", help="list the pins")
