"""Run COMMAND twice, online at the time of a lock and offline from the lock alone, and compare the results."""

from __future__ import annotations

import argparse
from pathlib import Path

from snapproxy.cli.options import a_time, add_config, add_json
from snapproxy.cli.registry_options import a_reference, add_access

EPILOG = """\
With --at, the first run records and writes the lock. Without it, the lock must exist, and the first run is pinned
to its time. Outputs are compared by content: files by their bytes, folders by all files below them. While the
command runs again, the outputs of the first run are kept as PATH.snapproxy-online; they stay there if the second
run's outputs differ. Without --output, the lists of files that the two runs were served are compared. Both runs must
request every file of the lock and no other: a command that uses a cache of its own does not reproduce the lock.
The exit code is 1 if the results or the requests differ, or a run fails; no attestation is written in these cases.
"""

EXAMPLES = ("reproduce --lock snapproxy.lock.json --output image.tar -- make image",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.usage = "snapproxy reproduce --lock FILE [options] -- COMMAND..."
    parser.add_argument("--lock", type=Path, required=True, metavar="FILE", help="the lock")
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
