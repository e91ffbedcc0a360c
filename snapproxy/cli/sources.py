"""Print ready-to-paste client configuration that pins DISTRO to WHEN."""

from __future__ import annotations

import argparse
import platform
from urllib.parse import urlsplit

from snapproxy.cli.common import a_lasting_when, add_json, print_json
from snapproxy.errors import ConfigurationError
from snapproxy.setup import DEFAULT_BASE, Snippet, apt, pacman
from snapproxy.setup.apt import DISTROS, Distro

HELP = "print client configuration for a time"

EPILOG = """\
Forms for debian and ubuntu:
  mirror       sources (deb822) whose address carries the time; works the same everywhere
  list         the same as one-line sources
  proxy        apt.conf for the proxy form; the sources stay untouched
  snapshot     apt.conf that makes `apt --snapshot ID` ask snapproxy (apt 2.7 or later)
  dockerfile   lines for a Dockerfile, proxy form
  environment  shell lines: proxy variables, SNAPSHOT_ARCHIVE_BASE, SOURCE_DATE_EPOCH

Forms for archlinux:
  mirror       a mirrorlist whose address carries the time
  cache        CacheServer lines: packages only (pacman 6.1 or later)
  proxy        shell lines for the proxy form; the mirrorlist keeps its servers
  edit         a sed line for a mirrorlist that names the Arch Linux Archive
  dockerfile   lines for a Dockerfile, mirror form
  environment  shell lines: proxy variables, ARCH_ARCHIVE_CACHE, SOURCE_DATE_EPOCH
"""

_KNOWN = sorted((*DISTROS, pacman.DISTRO))
_ALL_FORMS = tuple(dict.fromkeys((*apt.FORMS, *pacman.FORMS)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("distro", choices=_KNOWN, metavar="DISTRO", help=", ".join(_KNOWN))
    parser.add_argument("--at", type=a_lasting_when, required=True, metavar="WHEN", dest="when", help="the time")
    parser.add_argument(
        "--form", choices=_ALL_FORMS, default="mirror", metavar="FORM", help="see below (default mirror)"
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
    snippets = _snippets(arguments)
    if arguments.json:
        print_json({"form": arguments.form, "files": [{"path": each.path, "text": each.text} for each in snippets]})
    else:
        print("\n".join(f"# {each.path}\n{each.text}" if each.path else each.text for each in snippets), end="")
    return 0


def _snippets(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    forms = pacman.FORMS if arguments.distro == pacman.DISTRO else apt.FORMS
    if arguments.form not in forms:
        raise ConfigurationError(
            f"There is no form {arguments.form} for {arguments.distro}", hint=f"There are: {', '.join(forms)}."
        )
    if arguments.distro == pacman.DISTRO:
        return pacman.FORMS[arguments.form](pacman.Request(arguments.when, arguments.base))
    distro = DISTROS[arguments.distro]
    suite = arguments.suite or own_suite(distro)
    return apt.FORMS[arguments.form](apt.Request(distro, suite, arguments.when, arguments.base))


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
