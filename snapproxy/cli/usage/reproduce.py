"""Run COMMAND twice, online at the time of a lock or list and offline from the lock alone; compare the results."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import a_time, add_config, add_json
from snapproxy.cli.registry_options import a_reference, add_access

EPILOG = """\
With --at or --from, the first run records and writes the lock. Without them, the lock must exist, and the first run
is pinned to its time.

With --from, the files of the lists and their indexes are fetched first, as by `snapproxy prefetch`; the command is not
run if one is missing. Both runs are at the time of the lists. A list that needs several times requires --at. Packages
of the lists that the command does not request, and requested packages that the lists lack, are printed; they do not
change the exit code. Without --lock, the lock is not kept.

Outputs are compared by content: files by their bytes, folders by all files below them. While the
command runs again, the outputs of the first run are kept as PATH.snapproxy-online; they stay there if the second
run's outputs differ. Without --output, the lists of files that the two runs were served are compared. Both runs must
request every file of the lock and no other: a command that uses a cache of its own does not reproduce the lock.
The exit code is 1 if the results or the requests differ, or a run fails; no attestation is written in these cases.
"""

EXAMPLES = (
    "reproduce --lock snapproxy.lock.json --output image.tar -- make image",
    "reproduce --from image.manifest --output image.tar -- make image",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.usage = "snapproxy reproduce (--lock FILE | --from LIST) [options] -- COMMAND..."
    parser.add_argument("--lock", type=Path, metavar="FILE", help="the lock; optional with --from")
    parser.add_argument(
        "--from",
        action="append",
        default=[],
        metavar="LIST",
        dest="lists",
        help="prefetch a list of packages and use its time: a file, a folder of a package database, or - for stdin; "
        "may be repeated",
    )
    for option, word, text in (
        ("--archive", "ARCHIVE", "with --from: search in this archive only"),
        ("--suite", "SUITE", "with --from: search in this suite only"),
        ("--repo", "REPO", "with --from: search in this repository only"),
    ):
        parser.add_argument(option, action="append", default=[], metavar=word, help=f"{text}; may be repeated")
    parser.add_argument("--at", type=a_time, metavar="TIME", dest="time", help="record the lock anew, at this time")
    parser.add_argument(
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        dest="outputs",
        help="a file or folder that the command writes; may be repeated",
    )
    parser.add_argument(
        "--attest",
        type=a_reference,
        metavar="IMAGE",
        help="if reproduced, attach an attestation to docker://REGISTRY/REPOSITORY@sha256:HEX",
    )
    add_access(parser)
    add_json(parser)
    add_config(parser)
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the command and its arguments, after --")
