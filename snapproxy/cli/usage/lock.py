"""Write the lock of a capture, show a lock in another form, or say in what two of them differ."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
  snapproxy lock NAME [--format FORM] [--output FILE]        what the capture NAME holds; as a lock, if nothing else is said
  snapproxy lock show FILE [--format FORM] [--output FILE]   what the lock FILE says; summed up, if nothing else is said
  snapproxy lock diff A B                                    what differs in the lock B, seen from the lock A

FORM is summary; lock (its canonical bytes); sha256sums (packages, as repro-get has them); sha256sums-titled (every file, as an
artifact's reader lays them down); cyclonedx (1.6), spdx (2.3) or in-toto. The only time in any of them is $SOURCE_DATE_EPOCH.
"""


FORMS = ("summary", "lock", "sha256sums", "sha256sums-titled", "cyclonedx", "spdx", "in-toto")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("words", nargs="+", metavar="WORD", help="NAME of a capture, or show FILE, or diff A B")
    parser.add_argument("--format", choices=FORMS, metavar="FORM", help="another form, see below")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there, whole or not at all")
    parser.add_argument("--exit-code", action="store_true", help="diff: exit with 1 when the two differ")
    add_json(parser, "diff: print JSON")
    add_config(parser)
