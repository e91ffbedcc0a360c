"""A slice of an archive: the roots, the indexes and all packages of a selection at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snapproxy.answer.selected_indexes import ListedPart, RefusedFileError, SelectedIndexes, StoredIndex
from snapproxy.core.exchange import Answerer
from snapproxy.core.listing import Selection, chosen, refuse_unmatched, settled
from snapproxy.core.model import Archive, ExpectedFile, Refusal, TimeSpec
from snapproxy.core.progress import Progress
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings
from snapproxy.prefetch.model import WantedFile


@dataclass(frozen=True, slots=True)
class Slice:
    """The files of a slice, each once. `indexes` are requested by clients at an update; `roots` are fetched."""

    indexes: tuple[WantedFile, ...]
    packages: tuple[WantedFile, ...]
    roots: tuple[StoredIndex, ...]


class SliceReader:
    """Reads slices of one archive. `capture`: the capture that records the roots and indexes, '' for none."""

    def __init__(
        self,
        archive: Archive,
        answerer: Answerer,
        tables: IndexTables,
        listings: Listings,
        progress: Progress,
        capture: str = "",
    ) -> None:
        self._archive = archive
        self._family = FAMILIES[archive.family]
        self._lister = LISTERS[archive.family]
        self._tables = tables
        self._indexes = SelectedIndexes(archive, answerer, tables, listings, progress, capture)

    async def indexes(self, when: TimeSpec, selection: Selection) -> tuple[WantedFile, ...] | Refusal:
        """Fetch the roots and the indexes of packages, and return the other files that a client requests at an update.

        Refuses and raises as `read`.
        """
        try:
            files, listed = await self._listed(when, settled(selection, self._lister))
            for part in chosen([each.part for each in listed], settled(selection, self._lister)):
                await self._indexes.fetch((part.path,), when)
            return tuple(await self._others(files, listed, selection, when))
        except RefusedFileError as refused:
            return refused.refusal

    async def read(self, when: TimeSpec, selection: Selection) -> Slice | Refusal:
        """Fetch the roots and the indexes of packages, and return the files of the slice.

        A refusal is that of a root or an index. Raises ConfigurationError if the selection names too little,
        ArchiveDataError for an index that cannot be read.
        """
        try:
            return await self._read(when, settled(selection, self._lister))
        except RefusedFileError as refused:
            return refused.refusal

    async def _read(self, when: TimeSpec, selection: Selection) -> Slice:
        files, listed = await self._listed(when, selection)
        packages: dict[str, WantedFile] = {}
        for part in chosen([each.part for each in listed], selection):
            for expected in await self._packages(part.path, when):
                if part.architecture or self._is_selected(expected.path, selection):
                    packages.setdefault(expected.path, _wanted(self._archive, when, expected))
        others = await self._others(files, listed, selection, when)
        return Slice(tuple(others), tuple(packages.values()), tuple(files))

    async def _listed(self, when: TimeSpec, selection: Selection) -> tuple[list[StoredIndex], list[ListedPart]]:
        """Fetch the roots, and return them with the indexes of packages that they list."""
        roots = self._lister.roots(selection)
        files = await self._indexes.roots(roots, when)
        listed = await self._indexes.parts(roots, files)
        if refusal := refuse_unmatched([each.part for each in listed], selection):
            raise RefusedFileError(refusal)
        return files, listed

    async def _packages(self, path: str, when: TimeSpec) -> Sequence[ExpectedFile]:
        index = await self._indexes.fetch((path,), when)
        return await self._tables.all(self._family, index.digest, index.path)

    def _is_selected(self, path: str, selection: Selection) -> bool:
        """Whether a package of an index of several architectures belongs to the selection."""
        named = self._family.package_name(path)
        if not selection.architectures or named is None:
            return True
        return named.arch in {*selection.architectures, self._lister.any_architecture}

    async def _others(
        self, files: Sequence[StoredIndex], listed: Sequence[ListedPart], selection: Selection, when: TimeSpec
    ) -> list[WantedFile]:
        """Return the detached signatures of the roots, and the indexes that clients request besides the packages."""
        read = {each.part.path for each in listed}
        others = []
        for file in files:
            if signature := self._family.signature(file.path):
                others.append(WantedFile(self._archive, when, signature, may_be_absent=True))
            expected = {each.path: each for each in await self._indexes.listed(file)}
            paths = self._lister.other_indexes(file.path, expected, selection)
            others += [_wanted(self._archive, when, expected[path]) for path in paths if path not in read]
        return others


def _wanted(archive: Archive, when: TimeSpec, expected: ExpectedFile) -> WantedFile:
    digest = ":".join(expected.strong) if expected.strong else ""
    return WantedFile(archive, when, expected.path, digest, expected.size)
