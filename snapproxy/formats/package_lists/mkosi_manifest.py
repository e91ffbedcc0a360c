"""Read a manifest of mkosi, version 1.

Its `size` is the size of the installed files, and is not read. mkosi lists no packages of apk.
"""

from __future__ import annotations

import re

from snapproxy.formats.package_lists.documents import read_document
from snapproxy.formats.package_lists.model import MOST_ENTRIES, ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import rpm_version
from snapproxy.formats.package_lists.sbom import RPM_KEY, is_valid
from snapproxy.formats.package_lists.tree import TreeValue

NAME = "mkosi-manifest"

_FAMILIES = {"deb": "apt", "rpm": "rpm", "pkg": "pacman"}
_VERSION = 1
_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")


def read(data: bytes) -> PackageList:
    """Read the manifest. Imported keys of rpm are left out with a note."""
    document = read_document(data, b'"manifest_version"')
    version = document.member("manifest_version")
    if type(version.raw) is not int or not isinstance(document.raw.get("packages"), list):
        raise ListFormatError("manifest_version", "It is no manifest of mkosi.")
    if version.raw != _VERSION:
        raise version.wrong(f"Only manifests of version {_VERSION} are read.")
    config, packages = document.optional("config"), document.member("packages")
    distribution, release = (_word(config, name) for name in ("distribution", "release"))
    if len(packages.raw) > MOST_ENTRIES:
        raise packages.wrong(f"It has more than {MOST_ENTRIES} packages.")
    entries = tuple(
        _entry(package, distribution, release) for package in packages.items() if package.member("name").raw != RPM_KEY
    )
    keys = len(packages.raw) - len(entries)
    return PackageList(NAME, entries, (f"Imported keys ({RPM_KEY}) were left out: {keys}.",) if keys else ())


def _entry(package: TreeValue, distribution: str, release: str) -> ListEntry:
    kind, version = package.member("type"), package.member("version").word()
    family = _FAMILIES.get(kind.word(), "")
    if not family:
        raise kind.wrong(f"Expected one of {', '.join(_FAMILIES)}.")
    entry = ListEntry(
        package.place,
        family=family,
        name=package.member("name").word(),
        version=rpm_version(version) if family == "rpm" else version,
        architecture=package.member("architecture").word(),
        distribution=distribution,
        suite=release,
    )
    if not is_valid(entry):
        raise package.wrong(f"It has no valid name, version or architecture of {family}.")
    return entry


def _word(config: TreeValue | None, name: str) -> str:
    value = config.optional(name) if config else None
    return value.matching(_WORD, "a word")[0] if value and value.raw != "" else ""


MKOSI_MANIFEST = ListFormat(NAME, "a manifest of mkosi", read)
