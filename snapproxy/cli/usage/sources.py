"""Print client configuration, ready to paste, that pins DISTRO to TIME."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

from snapproxy.cli.options import a_lasting_time, add_config, add_json
from snapproxy.client_config import DEFAULT_BASE
from snapproxy.client_config.choice import FORMS, KNOWN

EPILOG = """\
Forms for debian and ubuntu:
  mirror       sources (deb822) whose addresses contain the time; work the same for every client
  list         the same as one-line sources
  proxy        apt.conf for the proxy form; the sources stay unchanged
  snapshot     apt.conf that makes `apt --snapshot ID` use snapproxy (apt 2.7 or later)
  dockerfile   lines for a Dockerfile, proxy form
  environment  shell lines: proxy variables, SNAPSHOT_ARCHIVE_BASE, SOURCE_DATE_EPOCH
  bootstrap    shell lines for debootstrap and mmdebstrap
  mkosi        lines of mkosi.conf

Forms for archlinux:
  mirror       a mirrorlist whose address contains the time
  cache        CacheServer lines: packages only (pacman 6.1 or later)
  proxy        shell lines for the proxy form; the mirrorlist keeps its servers
  edit         a sed line for a mirrorlist that names the Arch Linux Archive
  dockerfile   lines for a Dockerfile, mirror form
  environment  shell lines: proxy variables, ARCH_ARCHIVE_CACHE, SOURCE_DATE_EPOCH
  mkosi        lines of mkosi.conf

Forms for alpine:
  mirror       /etc/apk/repositories with addresses that contain the time
  proxy        shell lines for the proxy form; repositories become http://
  dockerfile   lines for a Dockerfile, proxy form

Forms for any other archive, built in or from the configuration:
  apt          mirror, list, proxy (--suite selects the suite)
  pacman       mirror, cache (--repo is the layout of its mirrors, default $repo/os/$arch)

Forms for an archive of rpm packages (--repo selects the repository):
  mirror       a .repo file for dnf whose baseurl contains the time
  zypper       the same for zypper
  proxy        lines of dnf.conf for the proxy form
  dockerfile   lines for a Dockerfile, with the script
  environment  shell lines: proxy variables, for zypper and dnf

Form for all of them:
  script       a script that rewrites all sources of a system, of any format, and can restore them;
               a running server has it at /TIME/pin.sh
"""

EXAMPLES = (
    "sources debian --suite bookworm --at 2024-06-01",
    "sources alpine --at 2024-06-01 --form dockerfile",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("distro", metavar="DISTRO", help=f"{', '.join(KNOWN)}, or the name of an archive")
    parser.add_argument("--at", type=a_lasting_time, required=True, metavar="TIME", dest="time", help="the time")
    parser.add_argument("--form", choices=FORMS, default="mirror", metavar="FORM", help="see below (default: mirror)")
    parser.add_argument(
        "--suite", metavar="SUITE", help="the release, such as bookworm (default: this machine's, if it runs DISTRO)"
    )
    parser.add_argument("--any-suite", action="store_true", help="accept a suite that this version does not list")
    parser.add_argument(
        "--repo",
        default="",
        metavar="PATH",
        help="the repository's folder in the archive; may contain $releasever and $basearch (pacman: $repo and $arch)",
    )
    parser.add_argument(
        "--base",
        type=a_base,
        default=DEFAULT_BASE,
        metavar="URL",
        help=f"the address of snapproxy, as the client reaches it (default: {DEFAULT_BASE})",
    )
    add_config(parser)
    add_json(parser)


def a_base(text: str) -> str:
    """Read the URL of a server without path or credentials (an argparse type)."""
    parts = urlsplit(text)
    if (
        parts.scheme != "http"
        or not parts.hostname
        or "@" in parts.netloc
        or parts.path not in {"", "/"}
        or parts.query
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is not http://HOST:PORT")
    return text.rstrip("/")
