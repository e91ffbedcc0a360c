"""Fetch the roots of a selection at a time, and find the indexes of packages that they list.

Files are requested in the same way as by clients (`core.exchange.Answerer`), so they are verified, stored and shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snapproxy.core.exchange import Answerer, Conditions, FileTarget, Moved
from snapproxy.core.listing import PackageVersion, Part, Root, Selection
from snapproxy.core.model import Archive, ExpectedFile, Refusal, TimeSpec
from snapproxy.core.progress import Progress
from snapproxy.errors import ArchiveDataError
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """A root or an index in the store; `digest` is its sha256."""

    path: str
    digest: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class ListedPart:
    """The index of a part at one time. Equal bytes have equal identities."""

    part: Part
    identity: tuple[str, str]


class RefusedFileError(Exception):
    """A root or an index was refused: carries the refusal through the call stack."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class SelectedIndexes:
    """The roots and indexes of one archive. `capture`: the capture that records the requests, '' for none.

    Every method raises RefusedFileError for a file that is refused.
    """

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
        self._answerer = answerer
        self._tables = tables
        self._listings = listings
        self._progress = progress
        self._capture = capture

    async def roots(self, roots: Sequence[Root], when: TimeSpec) -> list[StoredIndex]:
        """Fetch the first existing form of each root."""
        return [await self.fetch(root.names, when) for root in roots]

    async def parts(self, roots: Sequence[Root], files: Sequence[StoredIndex]) -> list[ListedPart]:
        """Return every index of packages that the roots list, without fetching any. `files` are the fetched roots."""
        found = []
        for root, file in zip(roots, files, strict=True):
            digests = await self._digests(file)
            parts = self._lister.parts(root, file.path, digests)
            found += [ListedPart(part, digests[part.path]) for part in parts]
        return found

    async def listed(self, file: StoredIndex) -> list[ExpectedFile]:
        """Return the files that a fetched root lists, each once, by its canonical name; none if it lists packages."""
        if self._family.roots_list_packages:
            return []
        entries = await self._tables.entries(self._family, file.digest, file.path)
        return [expected for name, expected in entries if name == expected.path]

    async def _digests(self, file: StoredIndex) -> Mapping[str, tuple[str, str]]:
        if self._family.roots_list_packages:
            return {file.path: ("sha256", file.digest)}
        return {
            expected.path: expected.strong or ("", f"{file.digest} {expected.path}")
            for expected in await self.listed(file)
        }

    async def packages(self, part: Part, when: TimeSpec, selection: Selection) -> list[PackageVersion]:
        """Fetch the index of a part, and return its packages of the selected architectures.

        Raises ArchiveDataError for an index that cannot be read.
        """
        file = await self.fetch((part.path,), when)
        try:
            packages = await self._listings.packages(self._family.name, file.digest, file.path)
        except ArchiveDataError as error:
            why = f"{part.path} at {when.text}: {error.why}"
            raise ArchiveDataError(error.reason, why=why, hint=error.hint) from error
        return [each for each in packages if self._is_selected(each, part, selection)]

    def _is_selected(self, package: PackageVersion, part: Part, selection: Selection) -> bool:
        if part.architecture or not selection.architectures:
            return True
        return package.architecture in {*selection.architectures, self._lister.any_architecture}

    async def fetch(self, names: Sequence[str], when: TimeSpec) -> StoredIndex:
        """Fetch the first of `names` that exists, completely."""
        refusal = Refusal(404, "No file matches the selection")
        for name in names:
            self._progress.advance(name, 0, None)
            outcome = await self._stored(FileTarget(self._archive, when, name, self._capture))
            self._progress.finish(name)
            if isinstance(outcome, StoredIndex):
                return outcome
            refusal = outcome
            if not refusal.is_absence:
                break
        raise RefusedFileError(refusal)

    async def _stored(self, target: FileTarget) -> StoredIndex | Refusal:
        """Request a root or an index.

        If the disk is full, the file is kept in memory only, and cannot be read afterwards.
        """
        outcome = await self._answerer.answer(target, Conditions(background=True))
        if isinstance(outcome, Refusal):
            return outcome
        if isinstance(outcome, Moved):
            return Refusal(404, "The path is a folder, not a file")
        outcome.body.close()
        if not outcome.digest:
            return Refusal(
                424, "The index could not be stored", "The disk is full.", "Free some space in state_dir and try again."
            )
        return StoredIndex(target.path, outcome.digest, outcome.snapshot)
