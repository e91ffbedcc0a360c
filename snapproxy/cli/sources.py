"""Print client configuration for a distribution or an archive at a time."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping
from typing import TypeVar

from snapproxy.cli.messages import print_json
from snapproxy.cli.usage.sources import KNOWN, SCRIPT
from snapproxy.client_config import Snippet, apk, apt, pacman, pin_script, rpm
from snapproxy.client_config.apt import DISTROS, Distro
from snapproxy.client_config.releases import is_release, nearest
from snapproxy.config import load
from snapproxy.core.model import Archive
from snapproxy.errors import ConfigurationError

T = TypeVar("T")
Writer = Callable[[T], tuple[Snippet, ...]]


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    snippets = _snippets(arguments)
    if arguments.json:
        print_json({"form": arguments.form, "files": [{"path": each.path, "text": each.text} for each in snippets]})
    else:
        print("\n".join(f"# {each.path}\n{each.text}" if each.path else each.text for each in snippets), end="")
    return 0


def _snippets(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    if arguments.form == SCRIPT:
        archives = load(arguments.config).archives
        return (Snippet("", pin_script.script(archives, arguments.time, arguments.base)),)
    if arguments.distro == pacman.DISTRO:
        _no_suite(arguments, "pacman")
        return _form(arguments, pacman.FORMS)(pacman.PacmanOptions(arguments.time, arguments.base))
    if arguments.distro == apk.ALPINE:
        return _alpine(arguments)
    if arguments.distro in DISTROS:
        distro = DISTROS[arguments.distro]
        return _form(arguments, apt.FORMS)(_apt(arguments, distro, _suite(arguments) or own_suite(distro)))
    return _of_archive(arguments, _archive(arguments))


def _alpine(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    write = _form(arguments, apk.FORMS)
    return write(apk.ApkOptions(apk.branch_of(arguments.suite or own_branch()), arguments.time, arguments.base))


def _apt(arguments: argparse.Namespace, distro: Distro, release: str) -> apt.AptOptions:
    return apt.AptOptions(distro, release, arguments.time, arguments.base)


def _archive(arguments: argparse.Namespace) -> Archive:
    archives = {
        archive.name: archive
        for archive in load(arguments.config).archives
        if archive.family in {"apt", "pacman", "rpm"}
    }
    if arguments.distro not in archives:
        raise ConfigurationError(
            "There is no client configuration for that distribution",
            why=f"{arguments.distro!r} is not one of {', '.join(sorted({*KNOWN, *archives}))}.",
            hint="Add an archive of your own to the configuration; --config names the file.",
        )
    return archives[arguments.distro]


def _of_archive(arguments: argparse.Namespace, archive: Archive) -> tuple[Snippet, ...]:
    """Write the configuration for an archive that has no forms of its own."""
    if archive.family != "apt":
        _no_suite(arguments, archive.family)
    if archive.family == "rpm":
        repository = rpm.RpmOptions(archive.name, arguments.repo, arguments.time, arguments.base)
        return _form(arguments, rpm.FORMS)(repository)
    if archive.family == "pacman":
        request = pacman.PacmanOptions(arguments.time, arguments.base, archive.name, arguments.repo or pacman.FOLDERS)
        return _form(arguments, pacman.OWN_FORMS)(request)
    if not arguments.suite:
        raise ConfigurationError(
            f"The suite of {archive.name} is not known", hint="Name it, for example: --suite stable"
        )
    return _form(arguments, apt.OWN_FORMS)(_apt(arguments, apt.own(archive), _suite(arguments)))


def _form(arguments: argparse.Namespace, forms: Mapping[str, Writer[T]]) -> Writer[T]:
    """Return the writer of the requested form. Raises ConfigurationError if this client has no such form."""
    if arguments.form not in forms:
        raise ConfigurationError(
            f"There is no form {arguments.form} for {arguments.distro}", hint=f"Its forms are: {', '.join(forms)}."
        )
    return forms[arguments.form]


def _suite(arguments: argparse.Namespace) -> str:
    """Return the suite of the command line, '' without one. Raises ConfigurationError for a misspelling."""
    suite = str(arguments.suite or "")
    if suite and not arguments.any_suite and not is_release(arguments.distro, suite):
        meant = nearest(arguments.distro, suite)
        question = f"Did you mean --suite {meant}? " if meant else ""
        raise ConfigurationError(
            f"{arguments.distro} has no suite {suite[:40]!a}",
            why="This version of snapproxy lists no such release.",
            hint=f"{question}If the release is newer than snapproxy, add --any-suite.",
        )
    return suite


def _no_suite(arguments: argparse.Namespace, family: str) -> None:
    """Raise ConfigurationError if a suite is named for an archive of a family without suites."""
    if arguments.suite:
        raise ConfigurationError(
            f"{arguments.distro} has no suites", why=f"Archives of {family} have repositories.", hint="Use --repo PATH."
        )


def own_suite(distro: Distro) -> str:
    """Return the release of this machine. Raises ConfigurationError unless the machine runs `distro`.

    A guess could mix two releases.
    """
    machine = _machine()
    if machine.get("ID") != distro.name or not machine.get("VERSION_CODENAME"):
        raise ConfigurationError(
            f"The release of {distro.name} is not known", hint=f"Name it, for example: --suite {distro.example}"
        )
    return machine["VERSION_CODENAME"]


def own_branch() -> str:
    """Return the release of this machine. Raises ConfigurationError unless the machine runs Alpine."""
    machine = _machine()
    if machine.get("ID") != apk.ALPINE or not machine.get("VERSION_ID"):
        raise ConfigurationError(
            "The release of alpine is not known", hint=f"Name it, for example: --suite {apk.EXAMPLE}"
        )
    return machine["VERSION_ID"]


def _machine() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
