"""List the packages of ARCHIVE that differ between TIME1 and TIME2: added, removed, or with another version."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import a_time, add_archive, add_config, add_json, add_offline

EPILOG = """\
Select apt archives by --suite; a suite that ends in a slash is a flat repository. Select the others by --repo:
a pacman repository by name, or by folder if the layout differs from Arch Linux's; an rpm or apk repository
by folder, apk's without the architecture.

Each line is a package: name, architecture, versions before, versions after, and one of came, went, up, down or
changed (the newest version is the same, other versions came or went). Versions are compared as the distribution
compares them; if there are several, the newest is printed first. The last line has the counts. --json prints all
versions.
The exit code is 0 whether or not packages differ.
"""

EXAMPLES = (
    "diff debian 2024-06-01 2024-07-01 --suite bookworm",
    "diff archlinux 2024-06-01 live --repo core --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add_archive(parser)
    parser.add_argument("before", type=a_time, metavar="TIME1", help="a time")
    parser.add_argument("after", type=a_time, metavar="TIME2", help="another time; live is the current archive")
    parser.add_argument("--suite", default="", metavar="SUITE", help="apt: the suite, such as bookworm")
    parser.add_argument(
        "--component",
        action="append",
        default=[],
        metavar="NAME",
        help="apt: a component, such as main; may be repeated (default: all of the suite)",
    )
    parser.add_argument(
        "--repo", action="append", default=[], metavar="REPO", help="others: a repository; may be repeated"
    )
    parser.add_argument(
        "--arch",
        action="append",
        default=[],
        metavar="ARCH",
        help="an architecture, as the distribution names it; may be repeated "
        "(default: this machine's; rpm: all in the repository)",
    )
    parser.add_argument(
        "--source", action="store_true", help="compare the sources that packages are built from, a line for each"
    )
    add_config(parser)
    add_offline(parser)
    add_json(parser)
