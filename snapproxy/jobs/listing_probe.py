"""Compare the installed packages of a root with the lists of its archives, to find the snapshots that agree.

The number of snapshots and of downloaded indexes is limited. An index with the same digest at several snapshots is
downloaded once.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from snapproxy.answer.selected_indexes import RefusedFileError, SelectedIndexes
from snapproxy.core.listing import Lister, chosen, settled
from snapproxy.core.listing_search import Comparison, SnapshotAgreement, agreement, next_index
from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence
from snapproxy.core.time_spec import DAY_SECONDS, format_instant, parse_time
from snapproxy.families import LISTERS
from snapproxy.formats.time_evidence.installed import InstalledPackage
from snapproxy.jobs.root_sources import SourcePart
from snapproxy.jobs.timeline import TimelineEntry

MOST_SNAPSHOTS = 32
"""Maximum number of snapshots that are compared: enough for both edges in three years of hours."""

MOST_INDEXES = 12
"""Maximum number of indexes that are read of each part of an archive, such as a suite."""

MOST_CANDIDATES = 50_000
"""Maximum number of snapshots of the window; of more, every second, third, ... one is a candidate."""

_HOUR = 3600
_NO_SNAPSHOT = (410, 425)

Entries = Callable[[Archive, Instant, Instant], Awaitable[Sequence[TimelineEntry] | Refusal]]
"""Return the snapshots of an archive between two instants."""

OpenIndexes = Callable[[Archive], SelectedIndexes]


@dataclass(frozen=True, slots=True)
class SearchSpan:
    """The instants that are searched, and the best guess `start`."""

    first: Instant
    last: Instant
    start: Instant


@dataclass(frozen=True, slots=True)
class Probed:
    """The result: evidence if a snapshot agrees, and sentences about the comparisons."""

    evidence: TimeEvidence | None
    notes: tuple[str, ...]


class _Stopped(Exception):  # noqa: N818 -- not an error: the search ends with what it has
    """The end of the search before its time, with the reason."""


class ListingProbe:
    """Compares one set of installed packages with the parts of archives that it was installed from."""

    def __init__(
        self,
        packages: Sequence[InstalledPackage],
        parts: Sequence[SourcePart],
        open_indexes: OpenIndexes,
        *,
        most_snapshots: int = MOST_SNAPSHOTS,
        most_indexes: int = MOST_INDEXES,
    ) -> None:
        self._packages = packages
        self._parts = parts
        self._lister: Lister = LISTERS[parts[0].archive.family]
        self._indexes = {part.archive.name: open_indexes(part.archive) for part in parts}
        self._most_snapshots = most_snapshots
        self._most_indexes = most_indexes
        self._known: dict[tuple[str, str, str], Mapping[tuple[str, str], frozenset[str]]] = {}
        self._count: Counter[SourcePart] = Counter()
        self._wanted = {each.name for each in packages}

    async def agrees_with(self, pin: TimeEvidence) -> TimeEvidence | None:
        """Return the evidence that the lists at a pinned time contain every installed package, None if they do not."""
        if pin.at is None:
            return None
        try:
            found = await self._compare(pin.at)
        except _Stopped:
            return None
        if found != Comparison():
            return None
        names = tuple(dict.fromkeys(part.archive.name for part in self._parts))
        says = f"lists all {len(self._packages)} packages at the time of {pin.where}"
        return replace(pin, kind=EvidenceKind.LISTING, place=", ".join(names), line=0, says=says)

    async def search(self, window: SearchSpan, entries: Entries, now: Instant) -> Probed:
        """Find the snapshots within a window at which every installed package is listed."""
        found = await self._candidates(window, entries, now)
        if isinstance(found, Refusal):
            return Probed(None, (f"The archive's lists were not compared: {found.reason}.",))
        if not found:
            return Probed(None, ("The archive's lists were not compared: it has no settled snapshot in that time.",))
        start = next((index for index, each in enumerate(found) if each > window.start), len(found)) - 1
        known: dict[int, Comparison] = {}
        stopped = ""
        while len(known) < self._most_snapshots:
            index = next_index(len(found), known, start)
            if index is None:
                break
            try:
                known[index] = await self._compare(found[index])
            except _Stopped as reason:
                stopped = f" The search ended early: {reason}."
                break
        else:
            stopped = f" The search ended after {self._most_snapshots} snapshots."
        return self._result(window, found, known, stopped)

    async def _candidates(self, window: SearchSpan, entries: Entries, now: Instant) -> list[Instant] | Refusal:
        """Return the instants to choose from, in order: snapshots, days, or every hour, as the archive has its past."""
        instants: set[Instant] = set()
        for archive in {part.archive.name: part.archive for part in self._parts}.values():
            if archive.history == "dated":  # its days are asked one by one
                start = window.first - window.first % DAY_SECONDS + DAY_SECONDS - 1
                instants.update(range(start, min(window.last, now - archive.settle_after) + 1, DAY_SECONDS))
                continue
            listed = await entries(archive, window.first, window.last)
            if isinstance(listed, Refusal):
                return listed
            for each in listed:
                if not each.is_settled:
                    continue
                instants.update(range(each.first, each.last + 1, _HOUR))
                if not each.root:
                    instants.add(each.last)
        ordered = sorted(instants)
        return ordered[:: 1 + len(ordered) // MOST_CANDIDATES]

    async def _compare(self, instant: Instant) -> Comparison:
        """Compare with the lists at an instant. Raises _Stopped if upstream fails, or at the limit of indexes."""
        listed: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for part in self._parts:
            try:
                for key, versions in (await self._listed(part, instant)).items():
                    listed[key] |= versions
            except RefusedFileError as refused:
                status = refused.refusal.status
                if refused.refusal.is_absence:
                    return Comparison(older=1)  # this part of the archive began later
                if status in _NO_SNAPSHOT:
                    return Comparison(is_answered=False)
                raise _Stopped(refused.refusal.reason) from None
        return self._comparison(listed)

    async def _listed(self, part: SourcePart, instant: Instant) -> Mapping[tuple[str, str], frozenset[str]]:
        """Return the versions, by name and architecture, of the installed names in one part at an instant."""
        when = parse_time(format_instant(instant))
        indexes, selection = self._indexes[part.archive.name], settled(part.selection, self._lister)
        roots = self._lister.roots(selection)
        listed = await indexes.parts(roots, await indexes.roots(roots, when))
        wanted = set(chosen([each.part for each in listed], selection))
        found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for each in listed:
            if each.part not in wanted:
                continue
            key = (part.archive.name, *each.identity)
            if key not in self._known:
                self._count[part] += 1
                if self._count[part] > self._most_indexes:
                    raise _Stopped(f"{self._most_indexes} indexes of one part were read")
                packages = await indexes.packages(each.part, when, selection)
                by_name: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
                for package in packages:
                    if package.name in self._wanted:
                        by_name[package.name, package.architecture].add(package.version)
                self._known[key] = {name: frozenset(versions) for name, versions in by_name.items()}
            for name, versions in self._known[key].items():
                found[name] |= versions
        return {name: frozenset(versions) for name, versions in found.items()}

    def _comparison(self, listed: Mapping[tuple[str, str], set[str]]) -> Comparison:
        newer = older = absent = 0
        for package in self._packages:
            versions = listed.get((package.name, package.architecture))
            if not versions:
                absent += 1
            elif package.version not in versions:
                newest = functools.reduce(self._newer, sorted(versions))
                order = self._lister.compare(newest, package.version)
                newer += order is not None and order > 0
                older += order is not None and order < 0
                absent += not order
        return Comparison(newer, older, absent)

    def _newer(self, one: str, other: str) -> str:
        return one if (self._lister.compare(one, other) or 0) >= 0 else other

    def _result(
        self, window: SearchSpan, instants: Sequence[Instant], known: Mapping[int, Comparison], stopped: str
    ) -> Probed:
        compared = f"{len(known)} snapshots were compared, {len(self._known)} indexes read.{stopped}"
        found = agreement(len(instants), known)
        total = len(self._packages)
        if found is None or known[found.last].absent == total:
            answered = [pair for pair in known.items() if pair[1].is_answered]
            closest = min(answered, key=lambda pair: _misses(pair[1]), default=None)
            if closest is None:
                return Probed(None, ("No snapshot of that time was answered.", compared) if known else (compared,))
            index, each = closest
            says = (
                f"No compared snapshot lists all {total} packages. The closest, {format_instant(instants[index])}, "
                f"lists newer versions of {each.newer}, older versions of {each.older} and lacks {each.absent}."
            )
            return Probed(None, (says, compared))
        absent = known[found.last].absent
        notes = [compared]
        if absent:
            notes.append(f"{absent} of {total} packages are in no compared list; they were installed from elsewhere.")
        return Probed(self._evidence(window, instants, found, total - absent), tuple(notes))

    def _evidence(
        self, window: SearchSpan, instants: Sequence[Instant], found: SnapshotAgreement, count: int
    ) -> TimeEvidence:
        first = instants[found.before + 1]  # before the first snapshot of the window the archive had an earlier state
        last = window.last if found.after == len(instants) else instants[found.after] - 1
        names = tuple(dict.fromkeys(part.archive.name for part in self._parts))
        return TimeEvidence(
            kind=EvidenceKind.LISTING,
            first=first,
            last=last,
            place=", ".join(names),
            says=(
                f"lists all {count} packages from {format_instant(instants[found.first])} "
                f"to {format_instant(instants[found.last])}"
            ),
            at=instants[found.last],
            archive=names[0],
        )


def _misses(comparison: Comparison) -> int:
    return comparison.newer + comparison.older + comparison.absent
