"""Says what a *when* came to and how what was served belongs together, for captures (`core.exchange.Settling`)."""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.exchange import Conditions, FileTarget, Outcome, ServiceTarget
from snapproxy.core.model import LIVE, TIMELESS, Archive, Family, Instant, Match, Refusal, Resolved, When
from snapproxy.core.when import parse, read_day
from snapproxy.errors import ArchiveDataError
from snapproxy.shell.executor import Executor
from snapproxy.shell.observations import Observations
from snapproxy.shell.promises import Promises


class Settler:
    """Asks those who know, and decides nothing."""

    def __init__(
        self, executor: Executor, observations: Observations, promises: Promises, families: Mapping[str, Family]
    ) -> None:
        self._executor = executor
        self._observations = observations
        self._promises = promises
        self._families = families

    async def as_of(self, target: FileTarget | ServiceTarget, snapshot: str) -> Outcome:
        if isinstance(target, ServiceTarget):
            return await self._executor.answer(target, Conditions())
        resolved = await self._named(target.archive, snapshot)
        if isinstance(resolved, Refusal):
            return resolved
        return await self._executor.answer(target, Conditions(), resolved)

    async def _named(self, row: Archive, snapshot: str) -> Resolved | Refusal:
        """Return the snapshot of an id. When a day's was taken, its archive has to be asked."""
        if snapshot in (LIVE, TIMELESS):
            return Resolved(snapshot, 0)
        day = read_day(snapshot)
        if day is not None:
            return await self._executor.resolve(row, When(snapshot, day, Match.EXACT, verbatim=True))
        instant = parse(snapshot).instant
        return Refusal(424, "That is not the id of a snapshot") if instant is None else Resolved(snapshot, instant)

    async def resolve(self, row: Archive, when: When) -> Resolved | Refusal:
        return await self._executor.resolve(row, when)

    def first_seen(self, row: Archive, root: str, digest: str) -> Instant | None:
        snapshot = self._observations.snapshot(row, root, digest)
        return None if snapshot is None else parse(snapshot).instant

    async def canonical(self, row: Archive, root: str, digest: str, path: str) -> str | None:
        try:
            promise = await self._promises.promise(self._families[row.family], digest, root, path)
        except ArchiveDataError:  # a root nobody can read promises nothing
            return None
        return None if promise is None else promise.path
