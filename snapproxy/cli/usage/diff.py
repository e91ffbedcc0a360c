"""Say which packages of ARCHIVE differ between WHEN1 and WHEN2: what came, what went, what changed its version."""

from __future__ import annotations

import argparse

from snapproxy.cli.options import a_time, add_config, add_json, add_offline

EPILOG = """\
apt archives are chosen by --suite; a suite that ends in a slash is a flat repository. The others are chosen by --repo: pacman's by name,
or by folder where they are laid out in another way than Arch Linux; rpm's and apk's by folder, apk's without the architecture.

A line is a package: name, architecture, versions before, versions after, and came, went, up, down or changed (its newest version is the
same, others came or went). Versions are compared as the distribution compares them, and of several the newest stands first. The last
line counts. --json gives all of it for a machine; equal or not, the exit code is 0.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("archive", metavar="ARCHIVE", help="debian, debian-security, archlinux, ...")
    parser.add_argument("before", type=a_time, metavar="WHEN1", help="a time")
    parser.add_argument("after", type=a_time, metavar="WHEN2", help="another time; live is now")
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
        help="an architecture, in the distribution's words; may be repeated (default: this machine's; rpm: all in the repository)",
    )
    parser.add_argument(
        "--source", action="store_true", help="compare the sources that packages are built from, a line for each"
    )
    add_config(parser)
    add_offline(parser)
    add_json(parser)
