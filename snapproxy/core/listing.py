"""What indexes say is in a repository: packages with their versions, and how a family lists and orders them.

Beside `core.model.Family`, which says what indexes promise of files. Frozen values and one protocol; what two listings differ in is
decided in `core.package_diff`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from snapproxy.core.model import Refusal
from snapproxy.errors import ArchiveDataError

# What is listed is printed on terminals. rpm allows letters of any language in a name; no format allows blanks.
_WORD = re.compile(r"[^\s\x00-\x20\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]{1,255}")


@dataclass(frozen=True, slots=True)
class PackageVersion:
    """A version of a package, as an index lists it. `source` is what it was built from, and `source_version` the version of that."""

    name: str
    architecture: str
    version: str
    source: str
    source_version: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What of an archive is meant. `components` are repositories where a family has those; empty: the usual ones.

    `architectures` are in the family's own words; empty: that of `machine`, which is in the kernel's. `by_source`: not the packages
    are meant, but what they were built from.
    """

    suite: str = ""
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    machine: str = ""
    by_source: bool = False


@dataclass(frozen=True, slots=True)
class Root:
    """A root to begin from: the `names` it may have, first choice first, and the repository it is the root of, if that is what is chosen by."""

    names: tuple[str, ...]
    component: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """An index that lists packages. `architecture` is '' where its records alone tell; an unusual part is read only when it is named."""

    path: str
    component: str = ""
    architecture: str = ""
    is_usual: bool = True


class Lister(Protocol):
    """How a family's indexes list packages, and how its versions compare. Pure; one a family, beside its promises."""

    parser: str
    """Version of `packages`: a listing made by another version is made again."""
    any_architecture: str
    """The word for a package that runs on every architecture."""

    def architecture(self, machine: str) -> str:
        """Return the family's word for a machine as the kernel names it (`x86_64`); '' where a repository is for one anyway."""

    def roots(self, selection: Selection) -> tuple[Root, ...]:
        """Return where the selection begins. Raises ConfigurationError when it names too little to begin from, or what this family does not have."""

    def parts(self, root: Root, path: str, promised: Collection[str]) -> Iterator[Part]:
        """Yield what lists packages among the paths that the root at `path` promises, or the root itself."""

    def packages(self, path: str, data: Iterable[bytes]) -> Iterator[PackageVersion]:
        """Read the index at `path` from its raw bytes. Raises ArchiveDataError as `core.model.Family.read_index` does."""

    def compare(self, one: str, other: str) -> int | None:
        """Return less than, equal to or greater than 0 as `one` is older, as old or newer; None where the family's rules cannot tell."""


def listed(name: str, architecture: str, version: str, source: str = "", source_version: str = "") -> PackageVersion:
    """Return a package as it was listed; without a source, it is its own. Raises ArchiveDataError for what is no name or no version."""
    package = PackageVersion(name, architecture, version, source or name, source_version or version)
    for word in (package.name, package.architecture, package.version, package.source, package.source_version):
        if not _WORD.fullmatch(word):
            raise ArchiveDataError(
                "An index lists a package without proper names",
                why=f"Of {name[:140]!a}, name, architecture, version or source reads {word[:140]!a}.",
            )
    return package


def best_packed(paths: Iterable[str]) -> str:
    """Return the path to read of those under which one index is promised: the one that is smallest as a rule."""
    return min(paths, key=lambda path: (_PACKINGS.get(path.rpartition(".")[2], len(_PACKINGS)), path))


_PACKINGS = {suffix: rank for rank, suffix in enumerate(("xz", "zst", "lzma", "bz2", "gz"))}


def settled(selection: Selection, lister: Lister) -> Selection:
    """Return the selection with the machine's architecture in it, when it names none."""
    usual = lister.architecture(selection.machine)
    return selection if selection.architectures or not usual else replace(selection, architectures=(usual,))


def chosen(parts: Iterable[Part], selection: Selection) -> list[Part]:
    """Return the parts that a selection means."""
    return [
        part
        for part in parts
        if (part.component in selection.components if selection.components else part.is_usual)
        and (not part.architecture or not selection.architectures or part.architecture in selection.architectures)
    ]


def unmet(parts: Collection[Part], selection: Selection) -> Refusal | None:
    """Refuse when something that the selection names is in none of `parts`: nothing would be compared, and nothing would say so."""
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
                f"{', '.join(missing)} is none of {', '.join(sorted(known)) or '(nothing)'}.",
            )
    return None
