"""The roots and indexes that list given packages at a time, so that a client's own update works with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, Refusal, TimeSpec
from snapproxy.families import LISTERS
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.slice import SliceReader


@dataclass(frozen=True, slots=True)
class IndexesOfList:
    """The files that a client requests at an update, and the packages that no selection lists, by path."""

    files: tuple[WantedFile, ...]
    unlisted: tuple[str, ...]


async def indexes_of(
    archive: Archive,
    when: TimeSpec,
    paths: Collection[str],
    selections: Iterable[Selection],
    probing: SliceReader,
    recording: SliceReader,
) -> IndexesOfList | Refusal:
    """Return the indexes of the selections that list any of `paths`.

    `selections` are searched if the path of a package does not show its repository. `probing` reads every selection,
    `recording` those that list a package, into the capture. A selection that does not exist at that time is skipped;
    any other refusal is returned.
    """
    missing = set(paths)
    files: dict[WantedFile, None] = {}
    for selection in _candidates(archive, paths, selections):
        if not missing:
            break
        found = await probing.read(when, selection)
        if isinstance(found, Refusal):
            if found.is_absence:
                continue
            return found
        listed = {each.path for each in found.packages} & missing
        if listed:
            recorded = await recording.indexes(when, selection)
            if isinstance(recorded, Refusal):
                return recorded
            files |= dict.fromkeys(recorded)
            missing -= listed
    return IndexesOfList(tuple(files), tuple(sorted(missing)))


def _candidates(archive: Archive, paths: Collection[str], selections: Iterable[Selection]) -> Sequence[Selection]:
    """Return the selections to read, each once: first those that the paths show."""
    lister = LISTERS[archive.family]
    shown = (selection for path in sorted(paths) for selection in lister.repositories_of(path))
    return list(dict.fromkeys((*shown, *selections)))
