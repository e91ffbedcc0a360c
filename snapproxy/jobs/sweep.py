"""Takes an observation: some roots of an archive and their indexes as they stood at one moment, whole, or none of it.

Every root is confirmed, the indexes it names are brought, and then, if anything was new, every root is confirmed once more: what is
the same on both sides stood together at the moment in between. A set that was caught in the middle of a publication is taken again.
Nothing is written down before all of it is here; `observations` does that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.concurrency import gather_bounded
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names, size_of
from snapproxy.core.expected_files import identity
from snapproxy.core.model import ExpectedFile, Instant, Refusal, Role
from snapproxy.core.progress import Progress
from snapproxy.core.sources import fetch_promised_now
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import Stored
from snapproxy.errors import ArchiveDataError, ClientError, SnapproxyError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.live.observations import Observations
from snapproxy.live.revalidate import Revalidator
from snapproxy.live.state import LiveState, LiveStates
from snapproxy_storage import Store

log = logging.getLogger(__name__)

TRIES = 6
"""How often a set is taken anew before the observation is given up: a publication takes seconds, seldom minutes."""

PAUSE_SECONDS = 5.0
"""The first pause between two tries; each further one is longer by as much."""

AT_ONCE = 4
"""Files asked for at once; how many of them go upstream together is the pacer's affair."""

PEEKS = 100
"""Blobs looked for before others have their turn."""


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
class _IndexCount:
    """How many indexes came, and which forms of them nobody serves."""

    count: int
    unserved: tuple[ExpectedFile, ...]


_ABSENT = Refusal(404, "It is listed, and not there")

_Roots = dict[str, LiveState]


class Sweeper:
    """Sweeps one archive at a time; several may be under way."""

    def __init__(
        self,
        *,
        confirming: Revalidator,
        standings: LiveStates,
        names: Names,
        observations: Observations,
        tables: IndexTables,
        flights: Downloads,
        store: Store,
        clock: Clock,
    ) -> None:
        self._confirming = confirming
        self._standings = standings
        self._names = names
        self._observations = observations
        self._tables = tables
        self._flights = flights
        self._blobs = store.blobs
        self._catalog = store.catalog
        self._clock = clock

    async def sweep(
        self, context: RequestContext, paths: Sequence[str], *, with_packages: bool, progress: Progress
    ) -> Swept | Refusal:
        """Observe the roots among `paths` with every index they name, and of a root that an index stands for, that index alone.

        Raises ClientError for a path that is neither.
        """
        wanted = _roots_wanted(context, paths)
        outcome: Swept | Refusal | _Torn = _Torn("it was never asked for")
        for turn in range(TRIES):
            if turn:
                await self._clock.sleep(turn * PAUSE_SECONDS)
            outcome = await self._take(context, wanted, progress)
            if isinstance(outcome, Swept):
                break
            if isinstance(outcome, Refusal) and outcome.is_absence:
                return outcome
            if isinstance(outcome, _Torn) and outcome.is_broken:
                break
        if isinstance(outcome, _Torn):
            return _never_whole(context, outcome)
        if isinstance(outcome, Refusal) or not with_packages:
            return outcome
        return await self._with_packages(context, outcome, wanted, progress)

    # --- one try ----------------------------------------------------------------------------------------------------------

    async def _take(
        self, context: RequestContext, wanted: dict[tuple[str, ...], set[str]], progress: Progress
    ) -> Swept | Refusal | _Torn:
        at = self._clock.now()
        roots = await self._confirmed(context, wanted)
        if not isinstance(roots, dict):
            return roots
        changed = tuple(path for path, root in roots.items() if not self._is_known(context, path, root))
        brought, unserved = 0, list[ExpectedFile]()
        for candidates, indexes in wanted.items():
            path = next(path for path in candidates if path in roots)
            came = await self._bring_indexes(context, path, roots[path], indexes, progress)
            if not isinstance(came, _IndexCount):
                return came
            brought += came.count
            unserved += came.unserved
        if changed or brought:
            at = self._clock.now()
            again = await self._confirmed(context, wanted)
            if not isinstance(again, dict):
                return again
            if {path: root.file.digest for path, root in again.items()} != {
                path: root.file.digest for path, root in roots.items()
            }:
                return _Torn("a root changed while its indexes were being brought")
            roots = again
        older = tuple(
            path for path in changed if self._observations.is_older(context.archive, path, roots[path].file.digest)
        )
        taken = [root.seen(path, context.family) for path, root in roots.items()]
        if not await self._observations.record(context.archive, context.family, taken, at):
            return _Torn("two roots that were seen in one second contradict each other")
        for expected in unserved:
            await self._catalog.put_fact(_unserved(context, expected), value=True)
        return Swept(at, tuple(roots), changed, older=older)

    async def _confirmed(
        self, context: RequestContext, wanted: dict[tuple[str, ...], set[str]]
    ) -> _Roots | Refusal | _Torn:
        """Confirm, of each group of names that a root may have, the first that exists."""
        roots: _Roots = {}
        for candidates in wanted:
            outcome: LiveState | Refusal | _Torn = _Torn("no root")
            for path in candidates:
                found = await self._confirming.confirm(context, path, self._standings.of(context.archive, path))
                outcome = found if isinstance(found, LiveState | Refusal) else _Torn("the disk is full")
                if isinstance(outcome, LiveState):
                    roots[path] = outcome
                if not (isinstance(outcome, Refusal) and outcome.is_absence):
                    break
            if not isinstance(outcome, LiveState):
                return outcome
        return roots

    def _is_known(self, context: RequestContext, path: str, root: LiveState) -> bool:
        """Whether this is what was observed last."""
        return self._observations.newest(context.archive, path) == root.file.digest

    async def _bring_indexes(
        self, context: RequestContext, path: str, root: LiveState, only: set[str], progress: Progress
    ) -> _IndexCount | Refusal | _Torn:
        """Bring the indexes of a root that the store lacks.

        Some roots list a form of an index that nobody serves (Debian's unpacked ones): it is excused if another form came.
        """
        promises = await self._indexes(context, path, root.file.digest, only)
        if isinstance(promises, _Torn):
            return promises
        lacking = [each for each in promises if not self._holds(context, each) and not self._is_unserved(context, each)]
        outcomes = await self._bring_all(context, lacking, path, progress)
        refused = [
            (expected, refusal) for expected, refusal in zip(lacking, outcomes, strict=True) if refusal is not None
        ]
        here = {_stem(expected.path) for expected in promises if self._holds(context, expected)}
        for expected, refusal in refused:
            if not refusal.is_absence:
                return refusal
            if expected.path in only or _stem(expected.path) not in here:
                return _Torn(f"{expected.path} was not there")
        return _IndexCount(len(lacking) - len(refused), tuple(expected for expected, _ in refused))

    def _is_unserved(self, context: RequestContext, expected: ExpectedFile) -> bool:
        return self._catalog.fact(_unserved(context, expected), 0) is not None

    async def _indexes(
        self, context: RequestContext, path: str, digest: str, only: set[str]
    ) -> list[ExpectedFile] | _Torn:
        try:
            if context.family.roots_list_packages:
                await self._tables.expected(context.family, digest, path, "")  # it can be read; it names no index
                return []
            entries = await self._tables.entries(context.family, digest, path)
        except ArchiveDataError as error:
            return _Torn(f"{path}: {error.reason}", is_broken=True)
        promises = [expected for name, expected in entries if name == expected.path]
        if only:
            found = [expected for expected in promises if expected.path in only]
            missing = only - {expected.path for expected in found}
            return _Torn(f"{path} does not list {min(missing)}") if missing else found
        places = [(expected, context.family.classify(expected.path)) for expected in promises]
        return [each for each, place in places if place.role is Role.INDEX and not place.may_be_unlisted]

    def _holds(self, context: RequestContext, expected: ExpectedFile) -> bool:
        digest = self._names.sha256_of(context.archive.name, expected)
        return digest is not None and size_of(self._blobs, digest) is not None

    async def _bring(self, context: RequestContext, expected: ExpectedFile) -> Refusal | None:
        step = fetch_promised_now(context.archive, expected, context.family)
        flight, _ = self._flights.join(step, context, None)
        landed = await flight.wait_outcome(float("inf"))
        if isinstance(landed, Refusal):
            return _ABSENT if landed == refusals.absent(step) else landed
        if isinstance(landed, Stored) and landed.is_in_memory:
            return Refusal(424, "The disk is full", "What upstream sent could not be kept.")
        return None

    # --- packages ---------------------------------------------------------------------------------------------------------

    async def _with_packages(
        self, context: RequestContext, swept: Swept, wanted: dict[tuple[str, ...], set[str]], progress: Progress
    ) -> Swept:
        """Bring every package that the observed indexes promise and the store lacks; a table that is complete is not looked at again."""
        only = {path: names for candidates, names in wanted.items() for path in candidates}
        packages = missing = 0
        for path in swept.roots:
            standing = self._standings.of(context.archive, path)
            if standing is None:
                continue
            indexes = await self._indexes(context, path, standing.file.digest, only[path])
            # All forms of one index promise the same packages: one of them is read.
            tables = {
                _stem(each.path): (digest, each.path)
                for each in ([] if isinstance(indexes, _Torn) else indexes)
                if self._holds(context, each) and (digest := self._names.sha256_of(context.archive.name, each))
            }
            for digest, index in [(standing.file.digest, path), *tables.values()]:
                came, failed = await self._packages_of(context, digest, index, progress)
                packages, missing = packages + came, missing + failed
        return replace(swept, packages=packages, missing=missing)

    async def _packages_of(
        self, context: RequestContext, digest: str, index: str, progress: Progress
    ) -> tuple[int, int]:
        if not context.family.classify(index).lists_files or self._catalog.fact(_complete(context, digest), 0):
            return 0, 0
        try:
            promises = await self._tables.all(context.family, digest, index)
        except SnapproxyError as error:
            log.warning("the packages of %s are not brought: %s", index, error.reason)
            return 0, 1
        lacking = []
        for count, expected in enumerate(promises):
            if count % PEEKS == 0:
                await asyncio.sleep(0)
            is_package = context.family.classify(expected.path).role is Role.PACKAGE
            if is_package and not self._holds(context, expected):
                lacking.append(expected)
        failed = sum(refusal is not None for refusal in await self._bring_all(context, lacking, index, progress))
        if not failed:
            await self._catalog.put_fact(_complete(context, digest), value=True)
        return len(lacking) - failed, failed

    async def _bring_all(
        self, context: RequestContext, promises: Sequence[ExpectedFile], what: str, progress: Progress
    ) -> list[Refusal | None]:
        """Bring what `what` promises, a few at a time; return of each why it could not be had, None where it could."""
        done, total = 0, sum(expected.size or 0 for expected in promises)

        async def one(expected: ExpectedFile) -> Refusal | None:
            nonlocal done
            refusal = await self._bring(context, expected)
            done += expected.size or 0
            progress.advance(what, done, total)
            if refusal is not None:
                log.info("%s was not brought: %s", expected.path, refusal.reason)
            return refusal

        outcomes = await gather_bounded(promises, one, AT_ONCE)
        progress.finish(what)
        return outcomes


def _roots_wanted(context: RequestContext, paths: Sequence[str]) -> dict[tuple[str, ...], set[str]]:
    """Return which roots to observe, each by the names it may have, and the indexes asked for alone (none: all it names).

    Raises ClientError for a path that is neither.
    """
    wanted: dict[tuple[str, ...], set[str]] = {}
    for path in paths:
        place = context.family.classify(path)
        if place.role is Role.ROOT:
            wanted[(path,)] = set()
        elif place.role is Role.INDEX and place.roots:
            wanted.setdefault(place.roots, set()).add(path)
        else:
            raise ClientError(
                "That is neither a root nor an index",
                why=f"{path} is no file of {context.archive.name} that vouches for others.",
                hint="Name a root, such as dists/stable/InRelease, or an index of one.",
            )
    return wanted


def _never_whole(context: RequestContext, torn: _Torn) -> Refusal:
    if torn.is_broken:
        why = f"{torn.cause} Nothing was written down: what was observed before stays."
        return Refusal(424, "A root of the archive contradicts itself, and was not observed", why)
    return Refusal(
        424,
        "The archive never held still long enough to be observed",
        f"{context.archive.name} was taken {TRIES} times; the last time, {torn.cause}.",
        "Nothing was written down. Try again later, or name fewer paths.",
    )


def _stem(path: str) -> str:
    """Return the name that all forms of an index share: what stands before the first dot of its last part."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _unserved(context: RequestContext, expected: ExpectedFile) -> str:
    _, digest = identity(expected) or ("", "")
    return f"unserved/{context.archive.name}/{expected.path}/{digest}"


def _complete(context: RequestContext, digest: str) -> str:
    return f"complete/{context.archive.name}/{digest}"
