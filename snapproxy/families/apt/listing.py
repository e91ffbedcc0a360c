"""List the packages of apt's indexes, and compare Debian's versions (deb-version(7))."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from univers import debian

from snapproxy.core.listing import Lister, PackageVersion, Part, Root, Selection, each_listed, listed, smallest_path
from snapproxy.errors import ArchiveDataError, ConfigurationError, Drop, refuse_entry
from snapproxy.families.apt.indexes import release_text
from snapproxy.families.apt.paths import folder_of, index_kind
from snapproxy.formats.deb822 import stanzas
from snapproxy.formats.unpack import unpack

_BINARY = re.compile(r"(?P<component>.+)/binary-(?P<architecture>[^/]+)/Packages(?:\.[a-z0-9]+)?")
_FLAT = re.compile(r"(?:\./)?Packages(?:\.[a-z0-9]+)?")
# Every client requests the English descriptions (Acquire::Languages), and those of its own language.
_TRANSLATION = re.compile(r"(?P<component>.+)/i18n/Translation-en(?:\.[a-z0-9]+)?")
_WANTED = ("package", "version", "architecture", "source")
_UNREADABLE = ".lz4"
# The Source field of a package whose source has another name or another version: `linux-signed-amd64 (6.1.90+1)`.
_SOURCE = re.compile(r"(?P<name>\S+)(?:\s+\((?P<version>[^()\s]+)\))?")
_VERSION = re.compile(r"(?:(?P<epoch>[0-9]{1,9}):)?(?P<upstream>[A-Za-z0-9.+~-]+?)(?:-(?P<revision>[A-Za-z0-9.+~]+))?")
# Debian's names of architectures (dpkg-architecture) by the kernel's, if they differ.
_ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "i686": "i386",
    "loongarch64": "loong64",
    "ppc64le": "ppc64el",
}


class AptLister:
    """Packages of a suite's components; implements `core.listing.Lister`.

    A suite that ends in a slash is a flat repository, as in sources.list.
    """

    parser = "apt-list-2"
    any_architecture = "all"

    def architecture(self, machine: str) -> str:
        return _ARCHITECTURES.get(machine, machine)

    def roots(self, selection: Selection) -> tuple[Root, ...]:
        suite = selection.suite
        if not suite:
            raise ConfigurationError("No suite was named", hint="Name a suite, for example: --suite bookworm")
        flat = suite.removeprefix("./").lstrip("/")
        folder = flat if suite.endswith("/") else f"dists/{suite}/"
        return (Root((f"{folder}InRelease", f"{folder}Release")),)

    def parts(self, root: Root, path: str, promised: Collection[str]) -> Iterator[Part]:
        folder = folder_of(path)
        found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name in promised:
            inner = name.removeprefix(folder)
            if name.endswith(_UNREADABLE) or inner == name != folder + inner:
                continue
            if binary := _BINARY.fullmatch(inner):
                found[binary["component"], binary["architecture"]].append(name)
            elif _FLAT.fullmatch(inner):
                found["", ""].append(name)
        for (component, architecture), names in sorted(found.items()):
            # Packages of the installer itself, which an installed system does not use.
            is_usual = not component.endswith("/debian-installer")
            yield Part(smallest_path(names), component, architecture, is_usual)

    def repositories_of(self, path: str) -> tuple[Selection, ...]:
        return ()

    def aliases(self, selection: Selection, root: bytes) -> tuple[Selection, ...]:
        # Debian publishes a suite as `stable` and as `bookworm`; the client's sources have either name.
        try:
            record = next(stanzas([release_text(root)], wanted=("suite", "codename")), {})
        except ArchiveDataError:
            return ()
        names = dict.fromkeys(record.get(field, "") for field in ("suite", "codename"))
        if selection.suite not in names:
            return ()
        return tuple(replace(selection, suite=name) for name in names if name not in {"", selection.suite})

    def other_indexes(self, path: str, promised: Collection[str], selection: Selection) -> Iterator[str]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in promised:
            translation = _TRANSLATION.fullmatch(name.removeprefix(folder_of(path)))
            if translation and (not selection.components or translation["component"] in selection.components):
                found[translation["component"]].append(name)
        yield from (smallest_path(names) for names in found.values())

    def packages(self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[PackageVersion]:
        if index_kind(path) != "Packages":
            return
        records = stanzas(unpack(data, drop=drop), wanted=_WANTED, drop=drop)
        yield from each_listed(records, _package, drop)

    def compare(self, one: str, other: str) -> int | None:
        first, second = _parse(one), _parse(other)
        if first is None or second is None:
            return None
        order: int = debian.compare_version_objects(first, second)
        return order


def _package(record: Mapping[str, str]) -> PackageVersion:
    source = _SOURCE.fullmatch(record.get("source", ""))
    name, version = (source["name"], source["version"] or "") if source else ("", "")
    return listed(record.get("package", ""), record.get("architecture", ""), record.get("version", ""), name, version)


def _parse(text: str) -> debian.Version | None:
    """Split a version as deb-version(7) describes.

    univers' own parser refuses a version that begins with a letter; dpkg accepts it with a warning.
    """
    found = _VERSION.fullmatch(text)
    return found and debian.Version(int(found["epoch"] or 0), found["upstream"], found["revision"] or "0")


APT_LISTER: Lister = AptLister()
