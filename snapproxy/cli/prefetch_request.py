"""Read the arguments of `prefetch`: packages with their dependencies, lists, or a slice of an archive."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snapproxy.archives import find_archive
from snapproxy.cli.selection import suites_by_archive, words
from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, TimeSpec
from snapproxy.errors import ConfigurationError
from snapproxy.families import LISTERS

_USUAL_COMPONENTS: Mapping[str, tuple[str, ...]] = {"apt": ("main",), "pacman": ("core", "extra")}
"""The components or repositories of a closure for which the user names none."""


@dataclass(frozen=True, slots=True)
class ArchiveSelection:
    """The selected part of one archive. `suites` is empty for families without suites."""

    archive: Archive
    suites: tuple[str, ...]
    components: tuple[str, ...]
    architectures: tuple[str, ...]

    def slices(self) -> tuple[Selection, ...]:
        """Return a selection for each suite, or one for all repositories."""
        return tuple(
            Selection(suite, self.components, self.architectures, platform.machine()) for suite in self.suites or ("",)
        )


@dataclass(frozen=True, slots=True)
class ClosureArguments:
    """Packages whose dependencies are computed at `when`. The first archive is the one that was named."""

    when: TimeSpec
    selections: tuple[ArchiveSelection, ...]
    packages: tuple[str, ...]
    build_dependencies_of: tuple[str, ...]
    recommends: bool | None
    status: Path | None
    root: Path | None
    is_any_solver_accepted: bool


@dataclass(frozen=True, slots=True)
class SliceArguments:
    """Every package of the selections at `when`."""

    when: TimeSpec
    selections: tuple[ArchiveSelection, ...]


@dataclass(frozen=True, slots=True)
class ListArguments:
    """Lists of packages. `archives`, `suites` (or repositories) and `architectures` restrict the search.

    `when` is None if the times are to be found.
    """

    lists: tuple[str, ...]
    archives: tuple[Archive, ...]
    when: TimeSpec | None
    suites: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()


def read_arguments(
    arguments: argparse.Namespace, archives: Mapping[str, Archive]
) -> ClosureArguments | SliceArguments | ListArguments:
    """Return the requested selection.

    Raises ConfigurationError for options that contradict one another or name too little, ClientError for an unknown
    archive.
    """
    if arguments.lists:
        _refuse_with_lists(arguments)
        named = tuple(find_archive(archives, name) for name in dict.fromkeys(arguments.names))
        return ListArguments(
            tuple(arguments.lists),
            named,
            arguments.time,
            words((*arguments.suite, *arguments.repo)),
            words(arguments.arch),
        )
    if not arguments.names:
        raise ConfigurationError(
            "No archive was named",
            hint="Name an archive and packages: snapproxy prefetch debian --at 2024-06-01 --suite bookworm hello; "
            "or a list: snapproxy prefetch --from FILE.",
        )
    archive = find_archive(archives, arguments.names[0])
    packages = tuple(dict.fromkeys(arguments.names[1:]))
    if arguments.time is None:
        raise ConfigurationError("No time was given", hint="Add --at TIME, such as --at 2024-06-01.")
    if arguments.all:
        if packages or arguments.build_dep or arguments.base or arguments.root or arguments.any_solver:
            raise ConfigurationError(
                "--all excludes packages and the options of dependencies",
                why="It fetches every package of the selection.",
                hint="Remove --all, or the packages and --build-dep, --base, --root, --any-solver.",
            )
        return SliceArguments(arguments.time, _selections(arguments, archive, archives, is_whole=True))
    if not packages and not arguments.build_dep:
        raise ConfigurationError(
            "No package was named", hint="Name packages after the archive, or add --build-dep SOURCE, or --all."
        )
    return ClosureArguments(
        arguments.time,
        _selections(arguments, archive, archives, is_whole=False),
        packages,
        words(arguments.build_dep),
        arguments.recommends,
        arguments.base,
        arguments.root,
        arguments.any_solver,
    )


def _selections(
    arguments: argparse.Namespace, archive: Archive, archives: Mapping[str, Archive], *, is_whole: bool
) -> tuple[ArchiveSelection, ...]:
    components = words((*arguments.component, *arguments.repo))
    usual = LISTERS[archive.family].architecture(platform.machine())
    architectures = words(arguments.arch) or ((usual,) if usual else ())
    if archive.family != "apt":
        if arguments.suite:
            raise ConfigurationError(
                f"{archive.name} has no suites", why=f"Archives of {archive.family} have repositories.",
                hint="Use --repo.",
            )  # fmt: skip
        found = components or _USUAL_COMPONENTS.get(archive.family, ())
        if not found:
            raise ConfigurationError("No repository was named", hint=_EXAMPLES[archive.family])
        return (ArchiveSelection(archive, (), found, architectures),)
    if not is_whole and not components:
        components = _USUAL_COMPONENTS["apt"]
    suites = suites_by_archive(arguments.suite, archive.name)
    if archive.name not in suites:
        raise ConfigurationError(
            f"No suite of {archive.name} was named", hint="Name the release, for example: --suite bookworm"
        )
    others = [name for name in suites if name != archive.name]
    selected = [archive, *(_of_apt(find_archive(archives, name)) for name in others)]
    return tuple(ArchiveSelection(each, suites[each.name], components, architectures) for each in selected)


_EXAMPLES = {
    "rpm": "Name repositories by folder, for example: --repo releases/40/Everything/x86_64/os",
    "apk": "Name repositories by folder, for example: --repo v3.20/main",
}


def _of_apt(archive: Archive) -> Archive:
    if archive.family != "apt":
        raise ConfigurationError(
            f"{archive.name} has no suites", why=f"It is an archive of {archive.family}.", hint="Prefetch it by itself."
        )
    return archive


def _refuse_with_lists(arguments: argparse.Namespace) -> None:
    """Raise ConfigurationError for an option that has no effect on a list."""
    given: Sequence[str] = [
        option
        for option, value in (
            ("--all", arguments.all),
            ("--component", arguments.component),
            ("--build-dep", arguments.build_dep),
            ("--base", arguments.base),
            ("--root", arguments.root),
            ("--any-solver", arguments.any_solver),
            ("--recommends", arguments.recommends is not None),
        )
        if value
    ]
    if given:
        raise ConfigurationError(
            f"--from excludes {', '.join(given)}"[:80],
            why="A list names its packages with their versions; nothing is computed or selected.",
            hint="Remove these options.",
        )
