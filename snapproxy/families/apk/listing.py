"""How apk's indexes list packages. An index of version 3 (`.adb`) is not read here, as it is nowhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from snapproxy.core.listing import PackageVersion, Part, Root, Selection, listed
from snapproxy.errors import ConfigurationError
from snapproxy.families.apk import INDEX
from snapproxy.families.apk.versions import compare
from snapproxy.formats import apkindex


class ApkLister:
    """Packages of repositories, each named by its folder without the architecture; fulfils `core.listing.Lister`."""

    parser = "apk-list-1"
    any_architecture = "noarch"

    def architecture(self, machine: str) -> str:
        return _ARCHITECTURES.get(machine, machine)

    def roots(self, selection: Selection) -> tuple[Root, ...]:
        if selection.suite:
            raise ConfigurationError("An archive of this kind has no suites", hint="Name repositories: --repo")
        if not selection.components:
            raise ConfigurationError("Which repositories?", hint="Name their folders, for example: --repo v3.20/main")
        return tuple(
            Root(("/".join((*filter(None, name.split("/")), architecture, INDEX)),), name, architecture)
            for name in selection.components
            for architecture in selection.architectures
        )

    def parts(self, root: Root, path: str, promised: Collection[str]) -> Iterator[Part]:
        yield Part(path, root.component, root.architecture)

    def packages(self, path: str, data: Iterable[bytes]) -> Iterator[PackageVersion]:
        *folders, name = path.split("/")
        if name != INDEX:
            return
        architecture = folders[-1] if folders else self.any_architecture
        for entry in apkindex.records(apkindex.take_apart(apkindex.gather(data)).text):
            yield listed(entry.name, entry.architecture or architecture, entry.version, entry.origin)

    def compare(self, one: str, other: str) -> int | None:
        return compare(one, other)


# Alpine's words for machines, where they differ from the kernel's.
_ARCHITECTURES = {"i686": "x86", "armv7l": "armv7", "armv6l": "armhf"}

APK_LISTER = ApkLister()
