"""Read an `rpms.lock.yaml` (lockfileVersion 1, lockfileVendor redhat), as rpm-lockfile-prototype writes for Konflux.

Only the address of a file is required there. A missing checksum is legal.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from snapproxy.formats.package_lists.model import MOST_ENTRIES, ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import RPM_NAME, rpm_file_name, rpm_version
from snapproxy.formats.package_lists.tree import TreeValue, read_yaml

NAME = "rpms-lock"

_PACKAGES = "packages"
_SOURCES = "source"
_MODULES = "module_metadata"


def read(data: bytes) -> PackageList:
    """Read the lock: packages, source packages and metadata of modules. What its entries lack is in the notes."""
    document = TreeValue(_parsed(data))
    version, vendor = document.member("lockfileVersion"), document.member("lockfileVendor")
    if version.word() != "1" or vendor.word().lower() != "redhat":
        raise version.wrong("Only version 1 of the vendor redhat is known.")
    found = list(islice(_entries(document), MOST_ENTRIES + 1))
    if len(found) > MOST_ENTRIES:
        raise document.wrong(f"It has more than {MOST_ENTRIES} files.")
    return PackageList(NAME, tuple(entry for _, entry in found), _notes(found))


def _parsed(data: bytes) -> Any:
    documents = read_yaml(data, b"lockfileVendor")
    raw = documents[0] if len(documents) == 1 else None
    if not isinstance(raw, dict) or not {"lockfileVersion", "lockfileVendor", "arches"} <= raw.keys():
        raise ListFormatError("", "It has no lockfileVersion, lockfileVendor and arches.")
    return raw


def _entries(document: TreeValue) -> Iterator[tuple[str, ListEntry]]:
    """Yield the kind and the entry of each file."""
    for each in document.member("arches").items():
        architecture = each.member("arch").word()
        for kind in (_PACKAGES, _SOURCES, _MODULES):
            files = each.optional(kind)
            for file in files.items() if files else ():
                yield kind, _module(file) if kind == _MODULES else _package(file, architecture)


def _package(file: TreeValue, architecture: str) -> ListEntry:
    """Return the entry of a package; missing fields are taken from the name of its file."""
    address = file.member("url")
    named = rpm_file_name(address.address() or address.word())
    name, evr = file.optional("name"), file.optional("evr")
    version = rpm_version(evr.word()) if evr else named.version if named else ""
    if evr is not None and not version:
        raise evr.wrong("Expected [EPOCH:]VERSION-RELEASE.")
    return ListEntry(
        file.place,
        family="rpm",
        name=name.matching(RPM_NAME, "a name of an rpm package")[0] if name else named.name if named else "",
        version=version,
        architecture=named.architecture if named else architecture,
        suite=_text(file.optional("repoid")),
        url=address.address(),
        digests=tuple(each.digest() for each in _present(file.optional("checksum"))),
        size=next((each.number() for each in _present(file.optional("size"))), None),
    )


def _module(file: TreeValue) -> ListEntry:
    return ListEntry(
        file.place,
        family="rpm",
        suite=_text(file.optional("repoid")),
        url=file.member("url").address(),
        digests=tuple(each.digest() for each in _present(file.optional("checksum"))),
        size=next((each.number() for each in _present(file.optional("size"))), None),
    )


def _present(value: TreeValue | None) -> tuple[TreeValue, ...]:
    return () if value is None else (value,)


def _text(value: TreeValue | None) -> str:
    return value.word() if value else ""


def _notes(found: list[tuple[str, ListEntry]]) -> tuple[str, ...]:
    kinds = [kind for kind, _ in found]
    sources, modules = kinds.count(_SOURCES), kinds.count(_MODULES)
    unchecked = sum(not entry.digests for _, entry in found)
    elsewhere = sum(not entry.url for _, entry in found)
    notes = (
        (sources, f"Source packages: {sources}."),
        (modules, f"Files with metadata of modules, which are no packages: {modules}."),
        (unchecked, f"Files without a checksum: {unchecked}."),
        (elsewhere, f"Files with an address that is not http or https: {elsewhere}."),
    )
    return tuple(note for count, note in notes if count)


KONFLUX_LOCK = ListFormat(NAME, "an rpms.lock.yaml of Konflux (rpm-lockfile-prototype, hermeto)", read)
