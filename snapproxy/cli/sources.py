"""Print ready-to-paste client configuration that pins DISTRO to WHEN."""

from __future__ import annotations

import argparse
import platform
from urllib.parse import urlsplit

from snapproxy.cli.common import a_lasting_when, add_json, print_json
from snapproxy.errors import ConfigurationError
from snapproxy.setup import DEFAULT_BASE
from snapproxy.setup.apt import DISTROS, FORMS, Distro, Request

HELP = "print client configuration for a time"

EPILOG = """\
Forms:
  mirror       sources (deb822) whose address carries the time; works the same everywhere
  list         the same as one-line sources
  proxy        apt.conf for the proxy form; the sources stay untouched
  snapshot     apt.conf that makes `apt --snapshot ID` ask snapproxy (apt 2.7 or later)
  dockerfile   lines for a Dockerfile, proxy form
  environment  shell lines: proxy variables, SNAPSHOT_ARCHIVE_BASE, SOURCE_DATE_EPOCH
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("distro", choices=sorted(DISTROS), metavar="DISTRO", help=" or ".join(sorted(DISTROS)))
    parser.add_argument("--at", type=a_lasting_when, required=True, metavar="WHEN", dest="when", help="the time")
    parser.add_argument(
        "--form", choices=FORMS, default=next(iter(FORMS)), metavar="FORM", help="see below (default mirror)"
    )
    parser.add_argument(
        "--suite", metavar="SUITE", help="the release, such as bookworm (default: this machine's, if it runs DISTRO)"
    )
    parser.add_argument(
        "--base",
        type=a_base,
        default=DEFAULT_BASE,
        metavar="URL",
        help=f"snapproxy as the client reaches it (default {DEFAULT_BASE})",
    )
    add_json(parser)


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    distro = DISTROS[arguments.distro]
    request = Request(distro, arguments.suite or own_suite(distro), arguments.when, arguments.base)
    snippets = FORMS[arguments.form](request)
    if arguments.json:
        print_json({"form": arguments.form, "files": [{"path": each.path, "text": each.text} for each in snippets]})
    else:
        print("\n".join(f"# {each.path}\n{each.text}" if each.path else each.text for each in snippets), end="")
    return 0


def a_base(text: str) -> str:
    """Read a URL of a server without path or credentials (an argparse type)."""
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


def own_suite(distro: Distro) -> str:
    """Return the release this machine runs, when it runs `distro`. A guess would mix two releases, so there is none."""
    try:
        machine = platform.freedesktop_os_release()
    except OSError:
        machine = {}
    if machine.get("ID") != distro.name or not machine.get("VERSION_CODENAME"):
        raise ConfigurationError(
            f"Which release of {distro.name}?", hint=f"Name it, for example: --suite {distro.example}"
        )
    return machine["VERSION_CODENAME"]
