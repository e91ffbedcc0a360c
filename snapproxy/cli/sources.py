"""Print ready-to-paste client configuration that pins DISTRO to WHEN."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable
from urllib.parse import urlsplit

from snapproxy.cli.common import a_lasting_when, add_config, add_json, print_json
from snapproxy.config import load
from snapproxy.errors import ConfigurationError
from snapproxy.setup import DEFAULT_BASE, Snippet, rpm
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

For an archive of rpm packages from the configuration (--repo says which of its repositories):
  mirror       a .repo file for dnf whose baseurl carries the time
  zypper       the same for zypper
  proxy        lines of dnf.conf for the proxy form
  environment  shell lines: proxy variables, for zypper and dnf
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "distro", metavar="DISTRO", help=f"{' or '.join(sorted(DISTROS))}, or an archive of rpm packages"
    )
    parser.add_argument("--at", type=a_lasting_when, required=True, metavar="WHEN", dest="when", help="the time")
    parser.add_argument(
        "--form",
        choices=[*FORMS, *(form for form in rpm.FORMS if form not in FORMS)],
        default=next(iter(FORMS)),
        metavar="FORM",
        help="see below (default mirror)",
    )
    parser.add_argument(
        "--suite", metavar="SUITE", help="the release, such as bookworm (default: this machine's, if it runs DISTRO)"
    )
    parser.add_argument(
        "--repo",
        default="",
        metavar="PATH",
        help="rpm: the repository's folder in the archive; $releasever and $basearch may stand in it",
    )
    parser.add_argument(
        "--base",
        type=a_base,
        default=DEFAULT_BASE,
        metavar="URL",
        help=f"snapproxy as the client reaches it (default {DEFAULT_BASE})",
    )
    add_config(parser)
    add_json(parser)


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    snippets = _apt(arguments) if arguments.distro in DISTROS else _rpm(arguments)
    if arguments.json:
        print_json({"form": arguments.form, "files": [{"path": each.path, "text": each.text} for each in snippets]})
    else:
        print("\n".join(f"# {each.path}\n{each.text}" if each.path else each.text for each in snippets), end="")
    return 0


def _apt(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    if arguments.form not in FORMS:
        raise _no_such_form(arguments, FORMS)
    distro = DISTROS[arguments.distro]
    return FORMS[arguments.form](Request(distro, arguments.suite or own_suite(distro), arguments.when, arguments.base))


def _rpm(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    """Write for a row of the configuration, since no distribution of rpm packages is known by its name."""
    known = [row.name for row in load(arguments.config).archives if row.family == "rpm"]
    if arguments.distro not in known:
        raise ConfigurationError(
            "There are no texts for that distribution",
            why=f"{arguments.distro!r} is none of {', '.join(sorted([*DISTROS, *known]))}.",
            hint="An archive of rpm packages must stand in the configuration; --config names the file.",
        )
    if arguments.form not in rpm.FORMS:
        raise _no_such_form(arguments, rpm.FORMS)
    return rpm.FORMS[arguments.form](rpm.Repository(arguments.distro, arguments.repo, arguments.when, arguments.base))


def _no_such_form(arguments: argparse.Namespace, forms: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(
        f"There is no form {arguments.form} for this client", hint=f"--form takes: {', '.join(forms)}"
    )


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
