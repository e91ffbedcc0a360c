"""Print the snapshot of ARCHIVE that answers for TIME, or the newest time that several archives answer."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import a_time, add_archive, add_config, add_json, add_offline

EPILOG = """\
Prints only the snapshot's time, as --at and addresses accept it, for use in scripts. Notes are printed on stderr,
and so is the name of the folder if the archive has one folder a day.

With several archives it prints the newest time that all of them answer: TIME is latest, or a time with .nearest for
the newest one at or before it. Any other TIME is printed if all of them answer it.

  snapproxy run --at "$(snapproxy resolve debian debian-security latest)" -- apt-get update
"""

EXAMPLES = (
    "resolve debian 2024-06-01",
    "resolve ubuntu latest",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_archive(parser, several=True)
    parser.add_argument("time", type=a_time, metavar="TIME", help="a time; latest is the newest settled snapshot")
    add_config(parser)
    add_offline(parser)
    add_json(parser)
