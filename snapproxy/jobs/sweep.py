"""Takes an observation: some roots of an archive and their indexes as they stood at one moment, whole, or none of it.

Every root is confirmed, the indexes it names are brought, and then, if anything was new, every root is confirmed once more: what is
the same on both sides stood together at the moment in between. A set that was caught in the middle of a publication is taken again.
Nothing is written down before all of it is here; `observations` does that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from snapproxy.core.model import Instant, Promise, Refusal, Role
from snapproxy.core.promised import identity
from snapproxy.core.sources import fetch_promised_now
from snapproxy.errors import ArchiveDataError, SnapproxyError
from snapproxy.jobs.wanted import roots_wanted
from snapproxy.shell import refusals
from snapproxy.shell.asking import Asking
from snapproxy.shell.clock import Clock
from snapproxy.shell.confirming import Confirming
from snapproxy.shell.flights import Flights
from snapproxy.shell.landings import Landed
from snapproxy.shell.names import Names, size_of
from snapproxy.shell.observations import Observations
from snapproxy.shell.promises import Promises
from snapproxy.shell.standing import Standing, Standings
from storage import Store

log = logging.getLogger(__name__)

TRIES = 6
"""How often a set is taken anew before the observation is given up: a publication takes seconds, seldom minutes."""

PAUSE_SECONDS = 5.0
"""The first pause between two tries; each further one is longer by as much."""

AT_ONCE = 4
"""Files asked for at once; how many of them go upstream together is the pacer's affair."""

PEEKS = 100
"""Blobs looked for before others have their turn."""

Progress = Callable[[str, int, int | None], None]
"""Is told (what, bytes done, bytes in all)."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What an observation came to. `packages` were brought, `missing` could not be (an index that cannot be read counts as one).

    `changed` are the roots that were new, `older` those of them that are dated before what was seen last: upstream went back in time.
    """

    at: Instant
    roots: tuple[str, ...]
    changed: tuple[str, ...]
    packages: int = 0
    missing: int = 0
    older: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Torn:
    """A set that does not belong together, and why. `is_broken`: its root contradicts itself, which another look will not mend."""

    cause: str
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class _Brought:
    """How many indexes came, and which forms of them nobody serves."""

    count: int
    unserved: tuple[Promise, ...]


_ABSENT = Refusal(404, "It is listed, and not there")

_Roots = dict[str, Standing]


class Sweeper:
    """Sweeps one archive at a time; several may be under way."""

    def __init__(
        self,
        *,
        confirming: Confirming,
        standings: Standings,
        names: Names,
        observations: Observations,
        promises: Promises,
        flights: Flights,
        store: Store,
        clock: Clock,
    ) -> None:
        self._confirming = confirming
        self._standings = standings
        self._names = names
        self._observations = observations
        self._promises = promises
        self._flights = flights
        self._blobs = store.blobs
        self._catalog = store.catalog
        self._clock = clock

    async def sweep(
        self, asking: Asking, paths: Sequence[str], *, with_packages: bool, progress: Progress
    ) -> Swept | Refusal:
        """Observe the roots among `paths` with every index they name, and of a root that an index stands for, that index alone.

        Raises ClientError for a path that is neither.
        """
        wanted = roots_wanted(asking, paths)
        outcome: Swept | Refusal | _Torn = _Torn("it was never asked for")
        for turn in range(TRIES):
            if turn:
                await self._clock.sleep(turn * PAUSE_SECONDS)
            outcome = await self._take(asking, wanted, progress)
            if isinstance(outcome, Swept):
                break
            if isinstance(outcome, Refusal) and outcome.is_absence:
                return outcome
            if isinstance(outcome, _Torn) and outcome.is_broken:
                break
        if isinstance(outcome, _Torn):
            return _never_whole(asking, outcome)
        if isinstance(outcome, Refusal) or not with_packages:
            return outcome
        return await self._with_packages(asking, outcome, wanted, progress)

    # --- one try ----------------------------------------------------------------------------------------------------------

    async def _take(
        self, asking: Asking, wanted: dict[tuple[str, ...], set[str]], progress: Progress
    ) -> Swept | Refusal | _Torn:
        at = self._clock.now()
        roots = await self._confirmed(asking, wanted)
        if not isinstance(roots, dict):
            return roots
        changed = tuple(path for path, root in roots.items() if not self._is_known(asking, path, root))
        brought, unserved = 0, list[Promise]()
        for candidates, indexes in wanted.items():
            path = next(path for path in candidates if path in roots)
            came = await self._bring_indexes(asking, path, roots[path], indexes, progress)
            if not isinstance(came, _Brought):
                return came
            brought += came.count
            unserved += came.unserved
        if changed or brought:
            at = self._clock.now()
            again = await self._confirmed(asking, wanted)
            if not isinstance(again, dict):
                return again
            if {path: root.file.digest for path, root in again.items()} != {
                path: root.file.digest for path, root in roots.items()
            }:
                return _Torn("a root changed while its indexes were being brought")
            roots = again
        older = tuple(
            path for path in changed if self._observations.is_older(asking.row, path, roots[path].file.digest)
        )
        taken = [root.seen(path, asking.family) for path, root in roots.items()]
        if not await self._observations.record(asking.row, asking.family, taken, at):
            return _Torn("two roots that were seen in one second contradict each other")
        for promise in unserved:
            await self._catalog.put_fact(_unserved(asking, promise), value=True)
        return Swept(at, tuple(roots), changed, older=older)

    async def _confirmed(self, asking: Asking, wanted: dict[tuple[str, ...], set[str]]) -> _Roots | Refusal | _Torn:
        """Confirm, of each group of names that a root may have, the first that exists."""
        roots: _Roots = {}
        for candidates in wanted:
            outcome: Standing | Refusal | _Torn = _Torn("no root")
            for path in candidates:
                found = await self._confirming.confirm(asking, path, self._standings.of(asking.row, path))
                outcome = found if isinstance(found, Standing | Refusal) else _Torn("the disk is full")
                if isinstance(outcome, Standing):
                    roots[path] = outcome
                if not (isinstance(outcome, Refusal) and outcome.is_absence):
                    break
            if not isinstance(outcome, Standing):
                return outcome
        return roots

    def _is_known(self, asking: Asking, path: str, root: Standing) -> bool:
        """Whether this is what was observed last."""
        return self._observations.newest(asking.row, path) == root.file.digest

    async def _bring_indexes(
        self, asking: Asking, path: str, root: Standing, only: set[str], progress: Progress
    ) -> _Brought | Refusal | _Torn:
        """Bring the indexes of a root that the store lacks.

        Some roots list a form of an index that nobody serves (Debian's unpacked ones): it is excused if another form came.
        """
        promises = await self._indexes(asking, path, root.file.digest, only)
        if isinstance(promises, _Torn):
            return promises
        lacking = [each for each in promises if not self._holds(asking, each) and not self._is_unserved(asking, each)]
        outcomes = await self._bring_all(asking, lacking, path, progress)
        refused = [
            (promise, refusal) for promise, refusal in zip(lacking, outcomes, strict=True) if refusal is not None
        ]
        here = {_stem(promise.path) for promise in promises if self._holds(asking, promise)}
        for promise, refusal in refused:
            if not refusal.is_absence:
                return refusal
            if promise.path in only or _stem(promise.path) not in here:
                return _Torn(f"{promise.path} was not there")
        return _Brought(len(lacking) - len(refused), tuple(promise for promise, _ in refused))

    def _is_unserved(self, asking: Asking, promise: Promise) -> bool:
        return self._catalog.fact(_unserved(asking, promise), 0) is not None

    async def _indexes(self, asking: Asking, path: str, digest: str, only: set[str]) -> list[Promise] | _Torn:
        try:
            if asking.family.roots_promise_packages:
                await self._promises.promise(asking.family, digest, path, "")  # it can be read; it names no index
                return []
            rows = await self._promises.rows(asking.family, digest, path)
        except ArchiveDataError as error:
            return _Torn(f"{path}: {error.reason}", is_broken=True)
        promises = [promise for name, promise in rows if name == promise.path]
        if only:
            found = [promise for promise in promises if promise.path in only]
            missing = only - {promise.path for promise in found}
            return _Torn(f"{path} does not list {min(missing)}") if missing else found
        places = [(promise, asking.family.classify(promise.path)) for promise in promises]
        return [each for each, place in places if place.role is Role.INDEX and not place.may_be_unlisted]

    def _holds(self, asking: Asking, promise: Promise) -> bool:
        digest = self._names.sha256_of(asking.row.name, promise)
        return digest is not None and size_of(self._blobs, digest) is not None

    async def _bring(self, asking: Asking, promise: Promise) -> Refusal | None:
        step = fetch_promised_now(asking.row, promise, asking.family)
        flight, _ = self._flights.join(step, asking, None)
        landed = await flight.land(float("inf"))
        if isinstance(landed, Refusal):
            return _ABSENT if landed == refusals.absent(step) else landed
        if isinstance(landed, Landed) and landed.is_adrift:
            return Refusal(424, "The disk is full", "What upstream sent could not be kept.")
        return None

    # --- packages ---------------------------------------------------------------------------------------------------------

    async def _with_packages(
        self, asking: Asking, swept: Swept, wanted: dict[tuple[str, ...], set[str]], progress: Progress
    ) -> Swept:
        """Bring every package that the observed indexes promise and the store lacks; a table that is complete is not looked at again."""
        only = {path: names for candidates, names in wanted.items() for path in candidates}
        packages = missing = 0
        for path in swept.roots:
            standing = self._standings.of(asking.row, path)
            if standing is None:
                continue
            indexes = await self._indexes(asking, path, standing.file.digest, only[path])
            # All forms of one index promise the same packages: one of them is read.
            tables = {
                _stem(each.path): (digest, each.path)
                for each in ([] if isinstance(indexes, _Torn) else indexes)
                if self._holds(asking, each) and (digest := self._names.sha256_of(asking.row.name, each))
            }
            for digest, index in [(standing.file.digest, path), *tables.values()]:
                came, failed = await self._packages_of(asking, digest, index, progress)
                packages, missing = packages + came, missing + failed
        return replace(swept, packages=packages, missing=missing)

    async def _packages_of(self, asking: Asking, digest: str, index: str, progress: Progress) -> tuple[int, int]:
        if not asking.family.classify(index).has_promises or self._catalog.fact(_complete(asking, digest), 0):
            return 0, 0
        try:
            promises = await self._promises.all(asking.family, digest, index)
        except SnapproxyError as error:
            log.warning("the packages of %s are not brought: %s", index, error.reason)
            return 0, 1
        lacking = []
        for count, promise in enumerate(promises):
            if count % PEEKS == 0:
                await asyncio.sleep(0)
            is_package = asking.family.classify(promise.path).role is Role.PACKAGE
            if is_package and not self._holds(asking, promise):
                lacking.append(promise)
        failed = sum(refusal is not None for refusal in await self._bring_all(asking, lacking, index, progress))
        if not failed:
            await self._catalog.put_fact(_complete(asking, digest), value=True)
        return len(lacking) - failed, failed

    async def _bring_all(
        self, asking: Asking, promises: Sequence[Promise], what: str, progress: Progress
    ) -> list[Refusal | None]:
        """Bring what `what` promises, a few at a time; return of each why it could not be had, None where it could."""
        done, total = 0, sum(promise.size or 0 for promise in promises)

        async def one(promise: Promise) -> Refusal | None:
            nonlocal done
            refusal = await self._bring(asking, promise)
            done += promise.size or 0
            progress(what, done, total)
            if refusal is not None:
                log.info("%s was not brought: %s", promise.path, refusal.reason)
            return refusal

        return await _a_few_at_once(promises, one)


async def _a_few_at_once(
    promises: Sequence[Promise], bring: Callable[[Promise], Awaitable[Refusal | None]]
) -> list[Refusal | None]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(promise: Promise) -> Refusal | None:
        async with room:
            return await bring(promise)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(promise)) for promise in promises]
    return [task.result() for task in tasks]


def _never_whole(asking: Asking, torn: _Torn) -> Refusal:
    if torn.is_broken:
        why = f"{torn.cause} Nothing was written down: what was observed before stays."
        return Refusal(424, "A root of the archive contradicts itself, and was not observed", why)
    return Refusal(
        424,
        "The archive never held still long enough to be observed",
        f"{asking.row.name} was taken {TRIES} times; the last time, {torn.cause}.",
        "Nothing was written down. Try again later, or name fewer paths.",
    )


def _stem(path: str) -> str:
    """Return the name that all forms of an index share: what stands before the first dot of its last part."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _unserved(asking: Asking, promise: Promise) -> str:
    _, digest = identity(promise) or ("", "")
    return f"unserved/{asking.row.name}/{promise.path}/{digest}"


def _complete(asking: Asking, digest: str) -> str:
    return f"complete/{asking.row.name}/{digest}"
