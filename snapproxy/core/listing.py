"""Listings of the packages in a repository, with versions, and the protocol by which a family lists and orders them.

`core.model.Family` reads the files that indexes list; `core.package_diff` compares two listings. This module contains
frozen values and one protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from snapproxy.core.model import Refusal
from snapproxy.errors import ArchiveDataError, Drop, refuse_entry

T = TypeVar("T")

# Listings are printed on terminals. some formats allow letters of any language in a name; no format allows blanks.
_WORD = re.compile(r"[^\s\x00-\x20\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]{1,255}")


@dataclass(frozen=True, slots=True)
class PackageVersion:
    """A version of a package, as listed by an index.

    `source` is the source package it was built from, `source_version` the version of that.
    """

    name: str
    architecture: str
    version: str
    source: str
    source_version: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected part of an archive.

    `components` are repositories for families that have those; empty: the usual ones. `architectures` are in the
    family's own terms; empty: the one of `machine`, which is in the kernel's terms. `by_source`: select source packages
    in place of packages.
    """

    suite: str = ""
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    machine: str = ""
    by_source: bool = False


@dataclass(frozen=True, slots=True)
class Root:
    """A root to start from.

    `names` are its possible paths, first choice first. `component`: the repository of this root, if the selection is by
    repository.
    """

    names: tuple[str, ...]
    component: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """An index that lists packages.

    `architecture` is '' if only its records state it. A part that is not usual is read only if the selection names it.
    """

    path: str
    component: str = ""
    architecture: str = ""
    is_usual: bool = True


class Lister(Protocol):
    """Lists the packages of a family's indexes and compares its versions. It does no I/O; one per family."""

    parser: str
    """The version of `packages`: a listing made by another version is built again."""
    any_architecture: str
    """The family's name for a package that runs on every architecture."""

    def architecture(self, machine: str) -> str:
        """Return the family's name for a machine as named by the kernel (`x86_64`).

        '' if a repository has one architecture only.
        """

    def roots(self, selection: Selection) -> tuple[Root, ...]:
        """Return the roots to start from for the selection.

        Raises ConfigurationError if the selection is too vague to start from, or names parts that this family does not
        have.
        """

    def parts(self, root: Root, path: str, promised: Collection[str]) -> Iterator[Part]:
        """Yield the package indexes among the paths that the root at `path` lists, or the root itself."""

    def repositories_of(self, path: str) -> tuple[Selection, ...]:
        """Return the selections whose roots may list the package at `path`, the most likely one first.

        Empty if the path does not show them: a pool of packages belongs to all suites.
        """

    def aliases(self, selection: Selection, root: bytes) -> tuple[Selection, ...]:
        """Return the selections under whose other names an archive publishes the same root; `root` is its content.

        Never raises.
        """

    def other_indexes(self, path: str, promised: Collection[str], selection: Selection) -> Iterator[str]:
        """Yield the other indexes, besides those of packages, that a client with default settings requests.

        `promised` are the paths that the root at `path` lists.
        """

    def packages(self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[PackageVersion]:
        """Read the index at `path` from its raw bytes. Entries that cannot be used are given to `drop`.

        Raises the same errors as `core.model.Family.read_index`.
        """

    def compare(self, one: str, other: str) -> int | None:
        """Return a number below, equal to or above 0 if `one` is older than, equal to or newer than `other`.

        None if the family's rules do not define an order.
        """


def listed(name: str, architecture: str, version: str, source: str = "", source_version: str = "") -> PackageVersion:
    """Return a package as listed; without a source, it is its own source.

    Raises ArchiveDataError for an invalid name, architecture or version.
    """
    package = PackageVersion(name, architecture, version, source or name, source_version or version)
    for word in (package.name, package.architecture, package.version, package.source, package.source_version):
        if not _WORD.fullmatch(word):
            raise ArchiveDataError(
                "An index lists a package with an invalid name or version",
                why=f"The name, architecture, version or source of {name[:140]!a} is {word[:140]!a}.",
            )
    return package


def each_listed(
    entries: Iterable[T], package_of: Callable[[T], PackageVersion], drop: Drop
) -> Iterator[PackageVersion]:
    """Yield the package of each entry; entries for which `package_of` raises ArchiveDataError are dropped."""
    for entry in entries:
        try:
            found = package_of(entry)
        except ArchiveDataError as error:
            drop(error)
            continue
        yield found


def smallest_path(paths: Iterable[str]) -> str:
    """Return the path to read among those under which one index is listed: usually the smallest file."""
    return min(paths, key=lambda path: (_PACKINGS.get(path.rpartition(".")[2], len(_PACKINGS)), path))


_PACKINGS = {suffix: rank for rank, suffix in enumerate(("xz", "zst", "lzma", "bz2", "gz"))}


def settled(selection: Selection, lister: Lister) -> Selection:
    """Return the selection, with the machine's architecture if it names none."""
    usual = lister.architecture(selection.machine)
    return selection if selection.architectures or not usual else replace(selection, architectures=(usual,))


def chosen(parts: Iterable[Part], selection: Selection) -> list[Part]:
    """Return the parts that match a selection."""
    return [
        part
        for part in parts
        if (part.component in selection.components if selection.components else part.is_usual)
        and (not part.architecture or not selection.architectures or part.architecture in selection.architectures)
    ]


def refuse_unmatched(parts: Collection[Part], selection: Selection) -> Refusal | None:
    """Return a refusal if something that the selection names is in none of `parts`.

    Without this check the comparison would be empty without an error.
    """
    wanted = (
        ("component", selection.components, {part.component for part in parts}),
        ("architecture", selection.architectures, {part.architecture for part in parts}),
    )
    for word, names, known in wanted:
        missing = [name for name in names if name not in known]
        if missing and "" not in known:
            return Refusal(
                404,
                f"There is no such {word} at either time",
                f"{', '.join(missing)} is not one of: {', '.join(sorted(known)) or '(nothing)'}.",
            )
    return None
