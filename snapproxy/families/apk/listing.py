"""List the packages of apk's indexes, versions 2 and 3."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from snapproxy.core.listing import Lister, PackageVersion, Part, Root, Selection, each_listed, listed
from snapproxy.errors import ConfigurationError, Drop, refuse_entry
from snapproxy.families.apk.architectures import NOARCH
from snapproxy.families.apk.indexes import ADB, INDEX, INDEX_3
from snapproxy.families.apk.versions import compare
from snapproxy.formats import adb_index, apkindex


class ApkLister:
    """Packages of repositories, each named by its folder without the architecture; implements `core.listing.Lister`."""

    parser = "apk-list-3"
    any_architecture = NOARCH

    def architecture(self, machine: str) -> str:
        return _ARCHITECTURES.get(machine, machine)

    def roots(self, selection: Selection) -> tuple[Root, ...]:
        if selection.suite:
            raise ConfigurationError("An apk archive has no suites", hint="Name repositories with --repo.")
        if not selection.components:
            raise ConfigurationError(
                "No repository was named", hint="Name repositories by folder, for example: --repo v3.20/main"
            )
        return tuple(
            Root(
                tuple("/".join((*filter(None, name.split("/")), architecture, index)) for index in (INDEX, INDEX_3)),
                name,
                architecture,
            )
            for name in selection.components
            for architecture in selection.architectures
        )

    def parts(self, root: Root, path: str, promised: Collection[str]) -> Iterator[Part]:
        yield Part(path, root.component, root.architecture)

    def repositories_of(self, path: str) -> tuple[Selection, ...]:
        folder, _, architecture = path.rpartition("/")[0].rpartition("/")
        return (Selection(components=(folder,), architectures=(architecture,)),) if folder else ()

    def aliases(self, selection: Selection, root: bytes) -> tuple[Selection, ...]:
        return ()

    def other_indexes(self, path: str, promised: Collection[str], selection: Selection) -> Iterator[str]:
        yield from ()

    def packages(self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[PackageVersion]:
        *folders, name = path.split("/")
        architecture = folders[-1] if folders else self.any_architecture
        yield from each_listed(
            _entries(name, apkindex.read_whole(data), drop),
            lambda entry: listed(entry.name, entry.architecture or architecture, entry.version, entry.origin),
            drop,
        )

    def compare(self, one: str, other: str) -> int | None:
        return compare(one, other)


def _entries(name: str, data: bytes, drop: Drop) -> Iterator[apkindex.ApkEntry | adb_index.AdbEntry]:
    if name == INDEX:
        yield from apkindex.records(apkindex.open_index(data).text, drop=drop)
    elif name.endswith(ADB):
        yield from adb_index.open_index(data).entries(drop)


# Alpine's names of architectures by the kernel's, if they differ.
_ARCHITECTURES = {"i686": "x86", "armv7l": "armv7", "armv6l": "armhf"}

APK_LISTER: Lister = ApkLister()
