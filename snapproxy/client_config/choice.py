"""Select the client configuration for a distribution or an archive, for the verb `sources` and the page "set up"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from snapproxy.client_config import apk, apt, pacman, pin_script, rpm
from snapproxy.client_config.apt import DISTROS, Distro
from snapproxy.client_config.releases import is_release, nearest
from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet
from snapproxy.core.model import Archive, TimeSpec
from snapproxy.errors import ConfigurationError

T = TypeVar("T")
Writer = Callable[[T], tuple[Snippet, ...]]

KNOWN = tuple(sorted((*DISTROS, pacman.DISTRO, apk.ALPINE)))
"""Distributions with forms of their own."""

SCRIPT = "script"
"""The form that all of them have."""

FORMS = tuple(dict.fromkeys((*apt.FORMS, *pacman.FORMS, *apk.FORMS, *rpm.FORMS, SCRIPT)))
"""Every form of any distribution."""

_OWN_FAMILIES = frozenset({"apt", "pacman", "rpm"})
"""Families of archives without forms of their own for which there is a configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSources:
    """The choice of a user. `base` is snapproxy's address, `http://HOST:PORT` without a trailing slash.

    `suite` is the release or the suite, `repo` the folder of a repository, '' if the distribution has none.
    `any_suite`: accept a suite that this version does not list.
    """

    distro: str
    time: TimeSpec
    form: str = "mirror"
    suite: str = ""
    repo: str = ""
    base: str = DEFAULT_BASE
    any_suite: bool = False


def forms_of(distro: str, archives: Iterable[Archive]) -> tuple[str, ...]:
    """Return the names of the forms for a distribution or an archive, none if it has no client configuration."""
    if distro in DISTROS:
        return (*apt.FORMS, SCRIPT)
    if distro == pacman.DISTRO:
        return (*pacman.FORMS, SCRIPT)
    if distro == apk.ALPINE:
        return (*apk.FORMS, SCRIPT)
    own: Mapping[str, Iterable[str]] = {"apt": apt.OWN_FORMS, "pacman": pacman.OWN_FORMS, "rpm": rpm.FORMS}
    families = {archive.name: archive.family for archive in archives}
    found = own.get(families.get(distro, ""), ())
    return (*found, SCRIPT) if found else ()


def chosen_snippets(choice: ChosenSources, archives: Callable[[], Iterable[Archive]]) -> tuple[Snippet, ...]:
    """Return the texts for a choice. `archives` returns those of the configuration, which not every form needs.

    Raises ConfigurationError for an unknown distribution or form, and if the suite is missing or misspelt.
    """
    if choice.form == SCRIPT:
        return (Snippet("", pin_script.script(archives(), choice.time, choice.base)),)
    if choice.distro == pacman.DISTRO:
        _no_suite(choice, "pacman")
        return _form(choice, pacman.FORMS)(pacman.PacmanOptions(choice.time, choice.base))
    if choice.distro == apk.ALPINE:
        write = _form(choice, apk.FORMS)
        return write(apk.ApkOptions(apk.branch_of(_named(choice, apk.EXAMPLE)), choice.time, choice.base))
    if choice.distro in DISTROS:
        distro = DISTROS[choice.distro]
        return _form(choice, apt.FORMS)(_apt(choice, distro, _suite(choice) or _named(choice, distro.example)))
    return _of_archive(choice, _archive(choice, archives()))


def _apt(choice: ChosenSources, distro: Distro, release: str) -> apt.AptOptions:
    return apt.AptOptions(distro, release, choice.time, choice.base)


def _archive(choice: ChosenSources, archives: Iterable[Archive]) -> Archive:
    known = {archive.name: archive for archive in archives if archive.family in _OWN_FAMILIES}
    if choice.distro not in known:
        raise ConfigurationError(
            "There is no client configuration for that distribution",
            why=f"{choice.distro[:80]!r} is not one of {', '.join(sorted({*KNOWN, *known}))}.",
            hint="Add an archive of your own to the configuration; --config names the file.",
        )
    return known[choice.distro]


def _of_archive(choice: ChosenSources, archive: Archive) -> tuple[Snippet, ...]:
    """Write the configuration for an archive that has no forms of its own."""
    if archive.family != "apt":
        _no_suite(choice, archive.family)
    if archive.family == "rpm":
        return _form(choice, rpm.FORMS)(rpm.RpmOptions(archive.name, choice.repo, choice.time, choice.base))
    if archive.family == "pacman":
        request = pacman.PacmanOptions(choice.time, choice.base, archive.name, choice.repo or pacman.FOLDERS)
        return _form(choice, pacman.OWN_FORMS)(request)
    if not choice.suite:
        raise ConfigurationError(
            f"The suite of {archive.name} is not known", hint="Name it, for example: --suite stable"
        )
    return _form(choice, apt.OWN_FORMS)(_apt(choice, apt.own(archive), _suite(choice)))


def _form(choice: ChosenSources, forms: Mapping[str, Writer[T]]) -> Writer[T]:
    """Return the writer of the requested form. Raises ConfigurationError if this client has no such form."""
    if choice.form not in forms:
        raise ConfigurationError(
            f"There is no form {choice.form} for {choice.distro}", hint=f"Its forms are: {', '.join(forms)}."
        )
    return forms[choice.form]


def _suite(choice: ChosenSources) -> str:
    """Return the suite of the choice, '' without one. Raises ConfigurationError for a misspelling."""
    suite = choice.suite
    if suite and not choice.any_suite and not is_release(choice.distro, suite):
        meant = nearest(choice.distro, suite)
        question = f"Did you mean --suite {meant}? " if meant else ""
        raise ConfigurationError(
            f"{choice.distro} has no suite {suite[:40]!a}",
            why="This version of snapproxy lists no such release.",
            hint=f"{question}If the release is newer than snapproxy, add --any-suite.",
        )
    return suite


def _named(choice: ChosenSources, example: str) -> str:
    if not choice.suite:
        raise ConfigurationError(
            f"The release of {choice.distro} is not known", hint=f"Name it, for example: --suite {example}"
        )
    return choice.suite


def _no_suite(choice: ChosenSources, family: str) -> None:
    """Raise ConfigurationError if a suite is named for an archive of a family without suites."""
    if choice.suite:
        raise ConfigurationError(
            f"{choice.distro} has no suites", why=f"Archives of {family} have repositories.", hint="Use --repo PATH."
        )
