"""Print ready-to-paste client configuration that pins DISTRO to WHEN."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from snapproxy.cli.messages import print_json
from snapproxy.cli.options import a_lasting_time, add_config, add_json
from snapproxy.client_config import DEFAULT_BASE, Snippet, apk, apt, pacman, pin_script, rpm
from snapproxy.client_config.apt import DISTROS, Distro
from snapproxy.config import load
from snapproxy.core.model import Archive
from snapproxy.errors import ConfigurationError

HELP = "print client configuration for a time"

EPILOG = """\
Forms for debian and ubuntu:
  mirror       sources (deb822) whose address carries the time; works the same everywhere
  list         the same as one-line sources
  proxy        apt.conf for the proxy form; the sources stay untouched
  snapshot     apt.conf that makes `apt --snapshot ID` ask snapproxy (apt 2.7 or later)
  dockerfile   lines for a Dockerfile, proxy form
  environment  shell lines: proxy variables, SNAPSHOT_ARCHIVE_BASE, SOURCE_DATE_EPOCH
  bootstrap    shell lines for debootstrap and mmdebstrap
  mkosi        lines of mkosi.conf

Forms for archlinux:
  mirror       a mirrorlist whose address carries the time
  cache        CacheServer lines: packages only (pacman 6.1 or later)
  proxy        shell lines for the proxy form; the mirrorlist keeps its servers
  edit         a sed line for a mirrorlist that names the Arch Linux Archive
  dockerfile   lines for a Dockerfile, mirror form
  environment  shell lines: proxy variables, ARCH_ARCHIVE_CACHE, SOURCE_DATE_EPOCH
  mkosi        lines of mkosi.conf

Forms for alpine:
  mirror       /etc/apk/repositories with addresses that carry the time
  proxy        shell lines for the proxy form; repositories become http://
  dockerfile   lines for a Dockerfile, proxy form

For any other archive, built in or from the configuration:
  apt          mirror, list, proxy (--suite says which suite)
  pacman       mirror, cache (--repo says how its mirrors are laid out, default $repo/os/$arch)

Forms for an archive of rpm packages (--repo says which of its repositories):
  mirror       a .repo file for dnf whose baseurl carries the time
  zypper       the same for zypper
  proxy        lines of dnf.conf for the proxy form
  dockerfile   lines for a Dockerfile, with the script
  environment  shell lines: proxy variables, for zypper and dnf

For all of them:
  script       a script that rewrites all sources of a system, whatever they are, and puts them back;
               a running server has it at /WHEN/pin.sh
"""

_KNOWN = sorted((*DISTROS, pacman.DISTRO, apk.ALPINE))
_SCRIPT = "script"
_ALL_FORMS = tuple(dict.fromkeys((*apt.FORMS, *pacman.FORMS, *apk.FORMS, *rpm.FORMS, _SCRIPT)))

T = TypeVar("T")
Writer = Callable[[T], tuple[Snippet, ...]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("distro", metavar="DISTRO", help=f"{', '.join(_KNOWN)}, or an archive")
    parser.add_argument("--at", type=a_lasting_time, required=True, metavar="WHEN", dest="when", help="the time")
    parser.add_argument(
        "--form", choices=_ALL_FORMS, default="mirror", metavar="FORM", help="see below (default mirror)"
    )
    parser.add_argument(
        "--suite", metavar="SUITE", help="the release, such as bookworm (default: this machine's, if it runs DISTRO)"
    )
    parser.add_argument(
        "--repo",
        default="",
        metavar="PATH",
        help="the repository's folder in the archive; $releasever and $basearch (pacman: $repo and $arch) may stand in it",
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
    snippets = _snippets(arguments)
    if arguments.json:
        print_json({"form": arguments.form, "files": [{"path": each.path, "text": each.text} for each in snippets]})
    else:
        print("\n".join(f"# {each.path}\n{each.text}" if each.path else each.text for each in snippets), end="")
    return 0


def _snippets(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    if arguments.form == _SCRIPT:
        archives = load(arguments.config).archives
        return (Snippet("", pin_script.script(archives, arguments.when, arguments.base)),)
    if arguments.distro == pacman.DISTRO:
        return _form(arguments, pacman.FORMS)(pacman.PacmanOptions(arguments.when, arguments.base))
    if arguments.distro == apk.ALPINE:
        return _alpine(arguments)
    if arguments.distro in DISTROS:
        distro = DISTROS[arguments.distro]
        return _form(arguments, apt.FORMS)(_apt(arguments, distro, arguments.suite or own_suite(distro)))
    return _of_row(arguments, _archive(arguments))


def _alpine(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    write = _form(arguments, apk.FORMS)
    return write(apk.ApkOptions(apk.branch_of(arguments.suite or own_branch()), arguments.when, arguments.base))


def _apt(arguments: argparse.Namespace, distro: Distro, release: str) -> apt.AptOptions:
    return apt.AptOptions(distro, release, arguments.when, arguments.base)


def _archive(arguments: argparse.Namespace) -> Archive:
    archives = {
        archive.name: archive
        for archive in load(arguments.config).archives
        if archive.family in {"apt", "pacman", "rpm"}
    }
    if arguments.distro not in archives:
        raise ConfigurationError(
            "There are no texts for that distribution",
            why=f"{arguments.distro!r} is none of {', '.join(sorted({*_KNOWN, *archives}))}.",
            hint="An archive of your own must stand in the configuration; --config names the file.",
        )
    return archives[arguments.distro]


def _of_row(arguments: argparse.Namespace, archive: Archive) -> tuple[Snippet, ...]:
    """Write for an archive that is no distribution with texts of its own."""
    if archive.family == "rpm":
        repository = rpm.RpmOptions(archive.name, arguments.repo, arguments.when, arguments.base)
        return _form(arguments, rpm.FORMS)(repository)
    if archive.family == "pacman":
        request = pacman.PacmanOptions(arguments.when, arguments.base, archive.name, arguments.repo or pacman.FOLDERS)
        return _form(arguments, pacman.OWN_FORMS)(request)
    if not arguments.suite:
        raise ConfigurationError(f"Which suite of {archive.name}?", hint="Name it, for example: --suite stable")
    return _form(arguments, apt.OWN_FORMS)(_apt(arguments, apt.own(archive), arguments.suite))


def _form(arguments: argparse.Namespace, forms: Mapping[str, Writer[T]]) -> Writer[T]:
    """Return what writes the form that was asked for. Raises ConfigurationError when this client has none of that name."""
    if arguments.form not in forms:
        raise ConfigurationError(
            f"There is no form {arguments.form} for {arguments.distro}", hint=f"There are: {', '.join(forms)}."
        )
    return forms[arguments.form]


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
    machine = _machine()
    if machine.get("ID") != distro.name or not machine.get("VERSION_CODENAME"):
        raise ConfigurationError(
            f"Which release of {distro.name}?", hint=f"Name it, for example: --suite {distro.example}"
        )
    return machine["VERSION_CODENAME"]


def own_branch() -> str:
    """Return the release of Alpine this machine runs, when it runs Alpine."""
    machine = _machine()
    if machine.get("ID") != apk.ALPINE or not machine.get("VERSION_ID"):
        raise ConfigurationError("Which release of alpine?", hint=f"Name it, for example: --suite {apk.EXAMPLE}")
    return machine["VERSION_ID"]


def _machine() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
