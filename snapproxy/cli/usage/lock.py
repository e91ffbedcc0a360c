"""Write the lock of a capture, show a lock in another form, or compare two locks."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import add_config, add_json

EPILOG = """\
  snapproxy lock NAME [--format FORM] [--output FILE]        the record of the capture NAME (default form: lock)
  snapproxy lock show FILE [--format FORM] [--output FILE]   the record in the lock FILE (default form: summary)
  snapproxy lock diff A B                                    the differences of the lock B from the lock A

FORM is summary; lock (canonical bytes); sha256sums (packages, as repro-get reads them); sha256sums-titled
(every file under the title that it has in an artifact); cyclonedx (1.6); spdx (2.3); or in-toto.
The only time in any form is $SOURCE_DATE_EPOCH.
"""

EXAMPLES = (
    "lock mybuild --output snapproxy.lock.json",
    "lock show snapproxy.lock.json --format spdx",
    "lock diff old.json new.json",
)

FORMS = ("summary", "lock", "sha256sums", "sha256sums-titled", "cyclonedx", "spdx", "in-toto")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("words", nargs="+", metavar="WORD", help="NAME of a capture, or show FILE, or diff A B")
    parser.add_argument("--format", choices=FORMS, metavar="FORM", help="another form, see below")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to FILE, atomically")
    parser.add_argument("--exit-code", action="store_true", help="diff: exit with 1 if the locks differ")
    add_json(parser, "diff: print JSON")
    add_config(parser)
