"""Look up snapshots for captures: which one answered for a time, and which files an observed root lists."""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.answer.executor import Executor
from snapproxy.core.exchange import Conditions, FileTarget, Outcome, ServiceTarget
from snapproxy.core.model import LIVE, TIMELESS, Archive, Family, Instant, Match, Refusal, Resolved, TimeSpec
from snapproxy.core.time_spec import format_instant, parse_time, read_day
from snapproxy.errors import ArchiveDataError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.live.observations import Observations


class CatalogSnapshotLookup:
    """Answer from the executor, the observations and the index tables (implements `core.exchange.SnapshotLookup`)."""

    def __init__(
        self, executor: Executor, observations: Observations, tables: IndexTables, families: Mapping[str, Family]
    ) -> None:
        self._executor = executor
        self._observations = observations
        self._tables = tables
        self._families = families

    async def as_of(self, target: FileTarget | ServiceTarget, snapshot: str, *, background: bool = False) -> Outcome:
        conditions = Conditions(background=background)
        if isinstance(target, ServiceTarget):
            return await self._executor.answer(target, conditions)
        resolved = await self._named(target, snapshot)
        if isinstance(resolved, Refusal):
            return resolved
        return await self._executor.answer(target, conditions, resolved)

    async def _named(self, target: FileTarget, snapshot: str) -> Resolved | Refusal:
        """Return the snapshot of an id. Only the archive can provide the instant of a day's snapshot."""
        if snapshot in (LIVE, TIMELESS):
            return Resolved(snapshot, 0)
        day = read_day(snapshot)
        if day is not None:
            return await self._executor.resolve(target.archive, TimeSpec(snapshot, day, Match.EXACT, verbatim=True))
        instant = parse_time(snapshot).instant
        if instant is None:
            return Refusal(424, "This is not the id of a snapshot")
        return await self._observed(target, instant) or Resolved(snapshot, instant)

    async def _observed(self, target: FileTarget, instant: Instant) -> Resolved | None:
        """Return the observation that answered for `instant`, None if the archive's past is not observed here.

        An observation is stored under another id than the one in a record (`Resolved.reported`).
        """
        if not self._executor.context(target.archive, Conditions()).history.is_observed:
            return None
        when = TimeSpec(format_instant(instant), instant, Match.AT)
        resolved = await self._executor.resolve_unmarked(target, when)
        return resolved if isinstance(resolved, Resolved) and resolved.name == when.text else None

    async def resolve(self, archive: Archive, when: TimeSpec) -> Resolved | Refusal:
        return await self._executor.resolve(archive, when)

    def first_seen(self, archive: Archive, root: str, digest: str) -> Instant | None:
        snapshot = self._observations.snapshot(archive, root, digest)
        return None if snapshot is None else parse_time(snapshot).instant

    async def canonical(self, archive: Archive, root: str, digest: str, path: str) -> str | None:
        try:
            expected = await self._tables.expected(self._families[archive.family], digest, root, path)
        except ArchiveDataError:  # an unreadable root lists nothing
            return None
        return None if expected is None else expected.path
