"""The roots and indexes that list given packages at a time, so that a client's own update works with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, Refusal, TimeSpec
from snapproxy.families import LISTERS
from snapproxy.prefetch.archive_choice import shown_repositories
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.slice import Slice, SliceReader


@dataclass(frozen=True, slots=True)
class IndexesOfList:
    """The files that a client requests at an update, and the packages that no selection lists, by path."""

    files: tuple[WantedFile, ...]
    unlisted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """The paths of packages of an archive at a time, and the selections that may list them.

    `selections` are used for packages whose path does not show their repository.
    """

    archive: Archive
    when: TimeSpec
    paths: frozenset[str]
    selections: tuple[Selection, ...]


ReadRoot = Callable[[str], Awaitable[bytes | None]]
"""Return the content of a stored root by its digest, None if the store lost it."""


async def indexes_of(
    listed: ListedFiles, probing: SliceReader, recording: SliceReader, read_root: ReadRoot
) -> IndexesOfList | Refusal:
    """Return the indexes of the fewest selections that list the packages.

    `probing` reads every selection, `recording` the chosen ones, into the capture, also under the other names of their
    suites. A selection that does not exist at that time is skipped; any other refusal is returned.
    """
    slices = await _slices(listed, probing)
    if isinstance(slices, Refusal):
        return slices
    chosen, missing = _cover({each: {file.path for file in found.packages} for each, found in slices.items()}, listed)
    files: dict[WantedFile, None] = {}
    for selection in chosen:
        roots = [await read_root(each.digest) for each in slices[selection].roots]
        lister = LISTERS[listed.archive.family]
        aliases = [alias for root in roots if root is not None for alias in lister.aliases(selection, root)]
        for each in dict.fromkeys((selection, *aliases)):
            recorded = await recording.indexes(listed.when, each)
            if isinstance(recorded, Refusal):
                if each is selection:
                    return recorded
                continue
            files |= dict.fromkeys(recorded)
    return IndexesOfList(tuple(files), tuple(sorted(missing)))


async def _slices(listed: ListedFiles, reader: SliceReader) -> dict[Selection, Slice] | Refusal:
    """Read the repositories that the paths show, until they list every package; if they do not, all selections."""
    slices: dict[Selection, Slice] = {}
    for selection in shown_repositories(listed.archive, sorted(listed.paths)):
        if not _unlisted(listed, slices):
            return slices
        if refusal := await _read(selection, listed.when, reader, slices):
            return refusal
    for selection in listed.selections if _unlisted(listed, slices) else ():
        if refusal := await _read(selection, listed.when, reader, slices):
            return refusal
    return slices


def _cover(
    listed_by: Mapping[Selection, Collection[str]], listed: ListedFiles
) -> tuple[list[Selection], frozenset[str]]:
    """Return the selections to record, those with the most packages first, and the paths that none lists."""
    missing, chosen = listed.paths, []
    while missing and listed_by:
        best = max(listed_by, key=lambda each: len(missing.intersection(listed_by[each])))
        found = missing.intersection(listed_by[best])
        if not found:
            break
        chosen.append(best)
        missing -= found
    return chosen, missing


def _unlisted(listed: ListedFiles, slices: Mapping[Selection, Slice]) -> frozenset[str]:
    return listed.paths.difference(each.path for found in slices.values() for each in found.packages)


async def _read(
    selection: Selection, when: TimeSpec, reader: SliceReader, slices: dict[Selection, Slice]
) -> Refusal | None:
    """Read a selection into `slices` if it exists at that time. Return any other refusal than an absence."""
    found = await reader.read(when, selection)
    if isinstance(found, Slice):
        slices[selection] = found
        return None
    return None if found.is_absence else found
