"""List the packages of pacman's databases, and compare their versions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from snapproxy.core.listing import Lister, PackageVersion, Part, Root, Selection, each_listed, listed
from snapproxy.errors import ArchiveDataError, ConfigurationError, Drop, refuse_entry
from snapproxy.families.pacman.paths import is_database
from snapproxy.families.pacman.versions import compare
from snapproxy.formats.pacman_db import Record, records

_WANTED = frozenset({"NAME", "VERSION", "ARCH", "BASE"})
# `core/os/x86_64`, the layout of Arch Linux: the repository's name precedes `os`.
_ARCH_LAYOUT = re.compile(r"(?:.*/)?(?P<name>[^/]+)/os/[^/]+")


class PacmanLister:
    """Packages of repositories, each with its own root; implements `core.listing.Lister`.

    A repository is named as in pacman.conf (`core`), or by its folder if the archive's layout differs from Arch Linux
    (`aarch64/core`). The database in the folder has the repository's name.
    """

    parser = "pacman-list-2"
    any_architecture = "any"

    def architecture(self, machine: str) -> str:
        return machine

    def roots(self, selection: Selection) -> tuple[Root, ...]:
        if selection.suite:
            raise ConfigurationError("A pacman archive has no suites", hint="Name repositories with --repo.")
        if not selection.components:
            raise ConfigurationError(
                "No repository was named", hint="Name repositories, for example: --repo core --repo extra"
            )
        return tuple(root for name in selection.components for root in _roots(name, selection.architectures))

    def parts(self, root: Root, path: str, promised: Collection[str]) -> Iterator[Part]:
        yield Part(path, root.component, root.architecture)

    def repositories_of(self, path: str) -> tuple[Selection, ...]:
        folder = path.rpartition("/")[0]
        return (Selection(components=(folder,)),) if "/" in folder else ()

    def aliases(self, selection: Selection, root: bytes) -> tuple[Selection, ...]:
        return ()

    def other_indexes(self, path: str, promised: Collection[str], selection: Selection) -> Iterator[str]:
        yield from ()

    def packages(self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[PackageVersion]:
        if not is_database(path):
            return
        yield from each_listed(records(data, wanted=_WANTED, drop=drop), _package, drop)

    def compare(self, one: str, other: str) -> int | None:
        return compare(one, other)


def _roots(repository: str, architectures: tuple[str, ...]) -> Iterator[Root]:
    folder = repository.strip("/")
    if "/" in folder:
        arch_layout = _ARCH_LAYOUT.fullmatch(folder)
        name = arch_layout["name"] if arch_layout else folder.rpartition("/")[2]
        yield Root((f"{folder}/{name}.db",), repository)
        return
    for architecture in architectures:
        yield Root((f"{folder}/os/{architecture}/{folder}.db",), repository, architecture)


def _package(record: Record) -> PackageVersion:
    return listed(*(_single(record, field) for field in ("NAME", "ARCH", "VERSION", "BASE")))


def _single(record: Record, field: str) -> str:
    values = record.get(field, ())
    if len(values) > 1:
        raise ArchiveDataError(
            "The package database has an invalid entry", why=f"The field {field} has {len(values)} lines, not one."
        )
    return values[0] if values else ""


PACMAN_LISTER: Lister = PacmanLister()
