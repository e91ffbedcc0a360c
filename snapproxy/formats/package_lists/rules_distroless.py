"""Read a lock of rules_distroless, version 1 and version 2.

Version 1 has the addresses of each file. Version 2 has the path of each file, and the addresses of the repository by
suite. A package of `Architecture: all` occurs once for each architecture that was locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from snapproxy.formats.package_lists.deb_forms import deb_entry
from snapproxy.formats.package_lists.documents import read_document
from snapproxy.formats.package_lists.model import (
    MOST_ENTRIES,
    ListedDigest,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.tree import TreeValue

NAME = "rules-distroless-lock"

_INDEPENDENT = "_all.deb"
_FIRST, _SECOND = 1, 2


def read(data: bytes) -> PackageList:
    """Read the lock. Version 1 may have several addresses of a file, mirrors of each other: the first one is used."""
    document = read_document(data, b'"sha256"')
    version, packages = document.raw.get("version"), document.raw.get("packages")
    is_second = isinstance(packages, dict) and isinstance(document.raw.get("sources"), dict)
    if type(version) is not int or not (is_second or isinstance(packages, list)):
        raise ListFormatError("", "It has not the members version, packages and, in version 2, sources.")
    if packages and not _is_package(next(iter(packages.values() if is_second else packages))):
        raise ListFormatError("packages", "The first one has no sha256.")
    if version != (_SECOND if is_second else _FIRST):
        raise document.member("version").wrong("Only version 1, a list of packages, and 2, by keys, are read.")
    if len(packages) > MOST_ENTRIES:
        raise document.member("packages").wrong(f"It has more than {MOST_ENTRIES} packages.")
    return PackageList(NAME, tuple((_second_version if is_second else _first_version)(document)))


def _is_package(value: object) -> bool:
    return isinstance(value, dict) and "sha256" in value


def _first_version(document: TreeValue) -> Iterator[ListEntry]:
    seen: set[str] = set()
    for package in document.member("packages").items():
        found = package.member("sha256").sha256()
        urls = package.optional("urls")
        first = next(urls.items(), None) if urls else package.member("url")
        if first is None:
            raise package.wrong("It has no address.")
        url = first.address()
        is_independent = url.endswith(_INDEPENDENT)
        if found.value in seen and is_independent:
            continue
        seen.add(found.value)
        yield replace(_entry(package, "all" if is_independent else package.member("arch").word(), found), url=url)


def _second_version(document: TreeValue) -> Iterator[ListEntry]:
    bases = {
        suite: tuple(uri.address() for uri in source.member("uris").items())
        for suite, source in document.member("sources").members()
    }
    seen: set[str] = set()
    for _, package in document.member("packages").members():
        found = package.member("sha256").sha256()
        suite, path = package.member("suite"), package.member("filename").path().removeprefix("./")
        architecture = package.member("architecture").word()
        if suite.word() not in bases:
            raise suite.wrong("The lock has no source of this suite.")
        if found.value in seen and architecture == "all":
            continue
        seen.add(found.value)
        yield replace(
            _entry(package, architecture, found),
            suite=suite.word(),
            bases=bases[suite.word()],
            path=path,
            size=package.member("size").number(),
        )


def _entry(package: TreeValue, architecture: str, found: ListedDigest) -> ListEntry:
    name, version = package.member("name").word(), package.member("version").word()
    entry = deb_entry(package.place, name, version, architecture, is_recognised=True)
    return replace(entry, digests=(found,))


RULES_DISTROLESS = ListFormat(NAME, "a lock of rules_distroless, version 1 or 2", read)
