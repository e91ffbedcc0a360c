"""Compare the packages of an archive at two times: fetches the roots of both times, then the indexes that differ.

`core.package_diff` computes the differences; the family's lister defines the lists of packages and the order of
versions.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from snapproxy.answer.selected_indexes import ListedPart, RefusedFileError, SelectedIndexes, StoredIndex
from snapproxy.core.exchange import Answerer
from snapproxy.core.listing import PackageVersion, Part, Selection, chosen, refuse_unmatched, settled
from snapproxy.core.model import Archive, Refusal, TimeSpec
from snapproxy.core.package_diff import PackageChange, PackageRecord, compare_listings
from snapproxy.core.progress import Progress
from snapproxy.families import LISTERS
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings


@dataclass(frozen=True, slots=True)
class ArchiveDiff:
    """The result of a comparison. `before` and `after` are the snapshots that answered, one for each root."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    changes: Sequence[PackageChange]
    parts: tuple[str, ...]
    """Names of the compared components or repositories, including unchanged ones."""


class Differ:
    """Compares an archive of one family at two times."""

    def __init__(
        self, archive: Archive, answerer: Answerer, tables: IndexTables, listings: Listings, progress: Progress
    ) -> None:
        self._lister = LISTERS[archive.family]
        self._indexes = SelectedIndexes(archive, answerer, tables, listings, progress)

    async def compare(self, before: TimeSpec, after: TimeSpec, selection: Selection) -> ArchiveDiff | Refusal:
        """Return the differences, or the refusal of the first file that is refused at either time.

        Raises ConfigurationError if the selection names too little, ArchiveDataError for an index that cannot be read.
        """
        try:
            return await self._compare(before, after, settled(selection, self._lister))
        except RefusedFileError as refused:
            return refused.refusal

    async def _compare(self, before: TimeSpec, after: TimeSpec, selection: Selection) -> ArchiveDiff:
        roots = self._lister.roots(selection)
        indexes = self._indexes
        old_roots, new_roots = await indexes.roots(roots, before), await indexes.roots(roots, after)
        olds, news = await indexes.parts(roots, old_roots), await indexes.parts(roots, new_roots)
        if refusal := refuse_unmatched([each.part for each in (*olds, *news)], selection):
            raise RefusedFileError(refusal)
        old, new = _by_component(olds, selection), _by_component(news, selection)
        differing = {name for name in old.keys() | new.keys() if _identities(old, name) != _identities(new, name)}
        changes = await asyncio.to_thread(
            compare_listings,
            await self._listed(old, differing, before, selection),
            await self._listed(new, differing, after, selection),
            self._lister.compare,
        )
        return ArchiveDiff(
            _snapshots(old_roots), _snapshots(new_roots), changes, tuple(sorted(old.keys() | new.keys()))
        )

    async def _listed(
        self,
        indexes: Mapping[str, Sequence[ListedPart]],
        names: Collection[str],
        when: TimeSpec,
        selection: Selection,
    ) -> list[PackageRecord]:
        parts = [index.part for name in sorted(names) for index in indexes.get(name, ())]
        found = []
        for part in parts:
            wanted = await self._indexes.packages(part, when, selection)
            found += [_of_source(part, each) if selection.by_source else _of_binary(part, each) for each in wanted]
        return found


def _snapshots(roots: Iterable[StoredIndex]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.snapshot for each in roots))


def _by_component(indexes: Sequence[ListedPart], selection: Selection) -> Mapping[str, Sequence[ListedPart]]:
    wanted = set(chosen([each.part for each in indexes], selection))
    found: defaultdict[str, list[ListedPart]] = defaultdict(list)
    for index in indexes:
        if index.part in wanted:
            found[index.part.component].append(index)
    return found


def _identities(indexes: Mapping[str, Sequence[ListedPart]], component: str) -> set[tuple[str, tuple[str, str]]]:
    """Return the identity of a component's content.

    All its indexes are read or none, because architectures share packages.
    """
    return {(index.part.architecture, index.identity) for index in indexes.get(component, ())}


def _of_binary(part: Part, package: PackageVersion) -> PackageRecord:
    return PackageRecord(part.component, package.name, package.architecture, package.version)


def _of_source(part: Part, package: PackageVersion) -> PackageRecord:
    return PackageRecord(part.component, package.source, "", package.source_version)
