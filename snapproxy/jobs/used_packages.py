"""Compare the packages that a command used in two runs: what it downloaded, and what the package lists it read offer.

Everything is known from the records of the runs and the stored lists, so nothing is requested upstream.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from snapproxy.core.listing import PackageVersion
from snapproxy.core.model import Role
from snapproxy.core.package_diff import PackageChange, PackageRecord, compare_listings
from snapproxy.core.record import Record
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.indexes.listings import Listings


class UsedPackage(NamedTuple):
    """A package that a run downloaded; `version` is the one in its file name, which may lack an epoch."""

    archive: str
    name: str
    architecture: str
    version: str


class UsedList(NamedTuple):
    """A root or an index that a run downloaded, which may list packages; `sha256` (hex) names it in the store."""

    archive: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class UsedFiles:
    """The archives, packages and lists that one run used, sorted."""

    archives: tuple[str, ...] = ()
    packages: tuple[UsedPackage, ...] = ()
    lists: tuple[UsedList, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangedPackage:
    """A package that differs between two runs. `is_used`: the command uses it; `source` is '' if unknown."""

    archive: str
    source: str
    change: PackageChange
    is_used: bool


def used_files(record: Record) -> UsedFiles:
    """Return the packages and lists in the record of a run. Absences and other files are left out."""
    packages, lists = set(), set()
    for entry in record.entries:
        if entry.is_absence or entry.is_service:
            continue
        if entry.role in (Role.ROOT, Role.INDEX):
            lists.add(UsedList(entry.archive, entry.path, entry.sha256))
        elif (named := FAMILIES[record.families[entry.archive]].package_name(entry.path)) is not None:
            packages.add(UsedPackage(entry.archive, named.name, named.arch, named.version))
    archives = {entry.archive for entry in record.entries}
    return UsedFiles(tuple(sorted(archives)), tuple(sorted(packages)), tuple(sorted(lists)))


async def changed_packages(
    before: UsedFiles, after: UsedFiles, others: Iterable[UsedFiles], families: Mapping[str, str], listings: Listings
) -> list[ChangedPackage]:
    """Return the packages that differ between two runs: those that the command uses first, then by name.

    `others` are further runs of the command: a client that keeps its packages downloads each version once.
    `families`: the family of each archive by name. A list that is no longer stored is left out, and so is a package
    that one run alone downloaded and whose lists are equal: a command that fails early downloads less.
    """
    versions = _versions(before), _versions(after)
    used = {(each.archive, each.name) for run in (before, after, *others) for each in run.packages}
    found: list[ChangedPackage] = []
    for old, new in _different_lists(before.lists, after.lists):
        for change, source in await _differences(old, new, families[old.archive], listings):
            package = (old.archive, change.name)
            is_used = package in used and not _is_same(package, *versions)
            found.append(ChangedPackage(old.archive, source, change, is_used))
    named = {(each.archive, each.change.name) for each in found}
    for archive, name in sorted(versions[0].keys() & versions[1].keys() - named):
        olds, news = (_records_of(name, each[archive, name]) for each in versions)
        changes = compare_listings(olds, news, LISTERS[families[archive]].compare)
        found += [ChangedPackage(archive, "", change, is_used=True) for change in changes]
    return sorted(found, key=lambda each: (not each.is_used, each.change.name, each.change.architecture, each.archive))


async def _differences(
    old: UsedList, new: UsedList, family: str, listings: Listings
) -> list[tuple[PackageChange, str]]:
    """Return the packages that differ between two lists, each with its source; none if a list is not stored now."""
    try:
        olds = await listings.packages(family, old.sha256, old.path)
        news = await listings.packages(family, new.sha256, new.path)
    except (ArchiveDataError, StorageError):
        return []
    changes = await asyncio.to_thread(compare_listings, _records(olds), _records(news), LISTERS[family].compare)
    sources = {each.name: each.source for each in (*olds, *news)}
    return [(change, sources[change.name]) for change in changes]


def _is_same(
    package: tuple[str, str],
    before: Mapping[tuple[str, str], set[str]],
    after: Mapping[tuple[str, str], set[str]],
) -> bool:
    """Return whether both runs downloaded the same versions: a list may keep several, of which one is new."""
    old = before.get(package)
    return old is not None and old == after.get(package)


def _versions(used: UsedFiles) -> Mapping[tuple[str, str], set[str]]:
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for each in used.packages:
        found[each.archive, each.name].add(each.version)
    return dict(found)


def _different_lists(before: Iterable[UsedList], after: Iterable[UsedList]) -> list[tuple[UsedList, UsedList]]:
    """Return the lists that both runs read, with different contents."""
    olds = {(each.archive, each.path): each for each in before}
    pairs = [(olds[each.archive, each.path], each) for each in after if (each.archive, each.path) in olds]
    return [(old, new) for old, new in pairs if old.sha256 != new.sha256]


def _records(packages: Iterable[PackageVersion]) -> list[PackageRecord]:
    return [PackageRecord("", each.name, each.architecture, each.version) for each in packages]


def _records_of(name: str, versions: Iterable[str]) -> list[PackageRecord]:
    return [PackageRecord("", name, "", version) for version in versions]
