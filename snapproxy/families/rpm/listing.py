"""List the packages of rpm's primary.xml, and compare rpm's versions (rpm-version(7))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from univers import rpm

from snapproxy.core.listing import Lister, PackageVersion, Part, Root, Selection, each_listed, listed, smallest_path
from snapproxy.errors import ConfigurationError, Drop, refuse_entry
from snapproxy.families.rpm.paths import METADATA, ROOT, index_kind
from snapproxy.formats.repomd import Version, versions
from snapproxy.formats.unpack import unpack

_EVR = re.compile(r"(?:(?P<epoch>[0-9]{1,10}):)?(?P<version>[!-,.-~]+)(?:-(?P<release>[!-,.-~]+))?")
# `bash-5.2.26-3.fc40.src.rpm`; version and release cannot contain a hyphen.
_SOURCE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+-[^-]+)\.(?:no)?src\.rpm")

# Databases of SQLite, which only yum reads, and the changelogs, which no client reads to install packages.
_UNUSED = re.compile(r"(?:primary|filelists|other)(?:_db)?\.sqlite(?:\.[a-z0-9]+)?$|other\.xml(?:\.[a-z0-9]+)?$")

_MOST_ABOVE = 4
"""Maximum number of folders above a package in which its repository's metadata is searched."""


class RpmLister:
    """Packages of repositories, each named by its folder; implements `core.listing.Lister`."""

    parser = "rpm-list-2"
    any_architecture = "noarch"

    def architecture(self, machine: str) -> str:
        return ""

    def roots(self, selection: Selection) -> tuple[Root, ...]:
        if selection.suite:
            raise ConfigurationError("An rpm archive has no suites", hint="Name repositories with --repo.")
        if not selection.components:
            raise ConfigurationError(
                "No repository was named",
                hint="Name repositories by folder, for example: --repo updates/40/Everything/x86_64",
            )
        return tuple(Root((f"{_folder(name)}{METADATA}/{ROOT}",), name) for name in selection.components)

    def parts(self, root: Root, path: str, promised: Collection[str]) -> Iterator[Part]:
        found = [name for name in promised if index_kind(name) == "primary"]
        if found:
            yield Part(smallest_path(found), root.component)

    def repositories_of(self, path: str) -> tuple[Selection, ...]:
        # The metadata is in the folder of the packages or in one above it: `Packages/h/hello.rpm`.
        folders = path.split("/")[:-1]
        depths = range(len(folders), max(len(folders) - _MOST_ABOVE, 0), -1)
        return tuple(Selection(components=("/".join(folders[:depth]),)) for depth in depths)

    def aliases(self, selection: Selection, root: bytes) -> tuple[Selection, ...]:
        return ()

    def other_indexes(self, path: str, promised: Collection[str], selection: Selection) -> Iterator[str]:
        # dnf and zypper read XML and YAML (modules), packed by createrepo_c's usual methods, and never the databases.
        yield from (name for name in promised if not _UNUSED.search(name))

    def packages(self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[PackageVersion]:
        if index_kind(path) != "primary":
            return
        yield from each_listed(versions(unpack(data, drop=drop), drop), _package, drop)

    def compare(self, one: str, other: str) -> int | None:
        first, second = _EVR.fullmatch(one), _EVR.fullmatch(other)
        if first is None or second is None:
            return None
        epochs = int(first["epoch"] or 0), int(second["epoch"] or 0)
        if epochs[0] != epochs[1]:
            return -1 if epochs[0] < epochs[1] else 1
        order: int = rpm.vercmp(first["version"], second["version"])
        return order or rpm.vercmp(first["release"] or "", second["release"] or "")


def _package(entry: Version) -> PackageVersion:
    source = _SOURCE.fullmatch(entry.source)
    epoch = "" if entry.epoch in {"", "0"} else f"{entry.epoch}:"
    name, version = (source["name"], source["version"]) if source else ("", "")
    return listed(entry.name, entry.architecture, f"{epoch}{entry.version}-{entry.release}", name, version)


def _folder(name: str) -> str:
    folder = name.strip("/")
    return f"{folder}/" if folder else ""


RPM_LISTER: Lister = RpmLister()
