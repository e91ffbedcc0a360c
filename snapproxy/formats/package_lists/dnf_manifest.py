"""Read a manifest of dnf (`dnf manifest new`; `document: rpm-package-manifest`), versions 0.x of libpkgmanifest.

Layouts by version: 0.0.1 has `repoid`, `nevra` and the whole `url` in a package; 0.1.0 has repositories with a `url`;
from 0.2.0 on a repository has `baseurl`, `metalink` or `mirrorlist`. Fields decide, not the version.

Of an *installed* package dnf5 writes the digest of its header, and no size, because rpm's database has neither the
digest nor the size of the file. A size of 0 therefore marks the digest as one of the header. dnf 4 writes the digest of
the payload and the installed size; nothing in such a manifest shows that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from snapproxy.formats.package_lists.model import (
    MOST_ENTRIES,
    DigestOf,
    ListedDigest,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.name_forms import RPM_ARCHITECTURE, RPM_NAME, RpmName, rpm_name, rpm_version
from snapproxy.formats.package_lists.text_lines import some
from snapproxy.formats.package_lists.tree import TreeValue, read_yaml

NAME = "dnf-manifest"

_DOCUMENT = "rpm-package-manifest"
_VERSION = re.compile(r"0(?:\.[0-9]+){0,2}")
_ARCH = "$arch"
MOST_ARCHITECTURES = 16
"""Maximum number of architectures of a manifest, and of `parent_archs`; each one can be an address of a package."""

_NO_BASE = frozenset({"noarch", "src", "nosrc"})


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository: its base, '' if the manifest has a list of mirrors or a folder instead."""

    base: str
    is_list: bool


def read(data: bytes) -> PackageList:
    """Read the manifest. Further documents, which describe modules, are in a note."""
    documents = read_yaml(data, _DOCUMENT.encode())
    raw: Any = documents[0] if documents else None
    if not isinstance(raw, dict) or raw.get("document") != _DOCUMENT:
        raise ListFormatError("document", f"It is not {_DOCUMENT}.")
    document = TreeValue(raw)
    document.member("version").matching(_VERSION, "a version 0.x, the only known ones")
    content = document.member("data")
    repositories = dict(_repositories(content.optional("repositories")))
    found = list(islice(_entries(content.optional("packages"), repositories), MOST_ENTRIES + 1))
    if len(found) > MOST_ENTRIES:
        raise content.wrong(f"It has more than {MOST_ENTRIES} packages.")
    return PackageList(NAME, tuple(found), _notes(found, repositories, len(documents) - 1))


def _repositories(listed: TreeValue | None) -> Iterator[tuple[str, _Repository]]:
    for each in listed.items() if listed else ():
        base = each.optional("baseurl") or each.optional("url")
        is_list = bool(each.optional("metalink") or each.optional("mirrorlist"))
        yield each.member("id").word(), _Repository(base.address() if base else "", is_list)


def _entries(packages: TreeValue | None, repositories: dict[str, _Repository]) -> Iterator[ListEntry]:
    if packages is None:
        return
    architectures = [name for name, _ in packages.members() if name not in _NO_BASE]
    if len(architectures) > MOST_ARCHITECTURES:
        raise packages.wrong(f"It has more than {MOST_ARCHITECTURES} architectures.")
    for architecture, listed in packages.members():
        if not RPM_ARCHITECTURE.fullmatch(architecture):
            raise listed.wrong("The key is not an architecture of rpm.")
        for package in listed.items():
            named = _named(package, architecture)
            identifier = package.optional("repo_id") or package.optional("repoid")
            suite = identifier.word() if identifier else ""
            base = repositories[suite].base if suite in repositories else ""
            yield _entry(package, named, suite, _bases(base, _base_architectures(package, named, architectures)))


def _named(package: TreeValue, architecture: str) -> RpmName:
    whole = package.optional("nevra")
    if whole is not None:
        found = rpm_name(whole.word())
        if found is None or found.architecture != architecture:
            raise whole.wrong("Expected NAME-[EPOCH:]VERSION-RELEASE.ARCHITECTURE.")
        return found
    evr = package.member("evr")
    version = rpm_version(evr.word())
    if not version:
        raise evr.wrong("Expected [EPOCH:]VERSION-RELEASE.")
    return RpmName(package.member("name").matching(RPM_NAME, "a name of an rpm package")[0], version, architecture)


def _entry(package: TreeValue, named: RpmName, suite: str, bases: tuple[str, ...]) -> ListEntry:
    location, address = package.optional("location"), package.optional("url")
    size = package.member("size").number()
    checksum = package.optional("checksum")
    digest = checksum.digest() if checksum else None
    return ListEntry(
        package.place,
        family="rpm",
        name=named.name,
        version=named.version,
        architecture=named.architecture,
        suite=suite,
        url=address.address() if address else "",
        bases=bases if location else (),
        path=location.path() if location and bases else "",
        digests=(_covering(digest, size),) if digest else (),
        size=size or None,
    )


def _covering(digest: ListedDigest, size: int) -> ListedDigest:
    return digest if size else replace(digest, of=DigestOf.HEADER)


def _base_architectures(package: TreeValue, named: RpmName, all_of_them: list[str]) -> list[str]:
    """Return the values of `$arch` in the base of a package, the most probable one first.

    dnf replaces the system's architecture in addresses by `$arch`. A noarch or i686 package may be in the folder of
    another architecture: that of `parent_archs`, or one that has packages in the manifest.
    """
    parents = package.optional("parent_archs")
    found = [each.matching(RPM_ARCHITECTURE, "an architecture")[0] for each in parents.items()] if parents else []
    if parents is not None and len(found) > MOST_ARCHITECTURES:
        raise parents.wrong(f"It has more than {MOST_ARCHITECTURES} architectures.")
    own = [] if named.architecture in _NO_BASE else [named.architecture]
    return list(dict.fromkeys([*found, *own, *all_of_them]))


def _bases(base: str, architectures: list[str]) -> tuple[str, ...]:
    if not base or _ARCH not in base:
        return (base,) if base else ()
    return tuple(base.replace(_ARCH, each) for each in architectures)


def _notes(entries: list[ListEntry], repositories: dict[str, _Repository], modules: int) -> tuple[str, ...]:
    headers = sum(bool(each.digest_of(DigestOf.HEADER)) for each in entries)
    lists = [name for name, each in repositories.items() if not each.base and each.is_list]
    other = [name for name, each in repositories.items() if not each.base and not each.is_list]
    notes = (
        (headers, f"Packages of an installed system, whose checksums cover the header and not the file: {headers}."),
        (lists, f"Repositories with a list of mirrors (metalink or mirrorlist) and no address: {some(lists)}."),
        (other, f"Repositories without an address of http or https: {some(other)}."),
        (modules, f"Documents about modules were left out: {modules}."),
    )
    return tuple(note for count, note in notes if count)


DNF_MANIFEST = ListFormat(NAME, "a manifest of dnf: dnf manifest new", read)
