"""Infer when a root, an image, a Dockerfile or a list of packages was made, and how sure that is."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import add_config, add_json, add_offline
from snapproxy.cli.registry_options import add_access

EPILOG = """\
SUBJECT is the folder of a root (/ is this machine), a Dockerfile, a list of packages or a record of a build
(.buildinfo, .BUILDINFO), an image layout (a folder, or a tar), a tar of `docker save`, or
docker://REGISTRY/REPOSITORY[:TAG|@sha256:HEX].

Evidence is read from the sources of packages, logs, databases of installed packages, lists and dates of files; of an
image from its configuration, history and layers. Then the installed packages are compared with the archive's lists at
a limited number of snapshots, which downloads indexes; with --offline only stored ones are used. No program of the
root is run, no link in it is followed. A database of rpm is read by the rpm of this machine, if it has one.

The confidence is one of
  exact     an address with a time states it, and no evidence contradicts it
  good      the archive's own lists, a stated date, or an index and a log a few days apart agree on it
  weak      only build dates, logs or dates of files limit it, or evidence contradicts it
  unknown   no evidence has a date

A warning says that a base is newer than a pin, the commonest cause of unmet dependencies. The exit code is 0 whatever
the confidence is.
"""

EXAMPLES = (
    "when /",
    "when Dockerfile --json",
    "when docker://docker.io/library/debian:bookworm-slim",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("subject", metavar="SUBJECT", help="a root, an image, a Dockerfile or a list")
    parser.add_argument(
        "--archive",
        default="",
        metavar="ARCHIVE",
        help="compare with the lists of this archive, in place of the ones that the root's sources name",
    )
    add_access(parser)
    add_config(parser)
    add_offline(parser)
    add_json(parser)
