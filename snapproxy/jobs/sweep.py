"""Observe some roots of an archive and their indexes at one instant: a complete and consistent set, or nothing.

Every root is revalidated, the indexes that it lists are fetched, and then, if anything was new, every root is
revalidated again: if all roots are unchanged, they form a consistent set for the time between. If the archive changes
during this, the set is fetched again. `observations` records the set once it is complete.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.concurrency import gather_bounded
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names, size_of
from snapproxy.core.expected_files import identity
from snapproxy.core.model import ExpectedFile, Instant, Refusal, Role
from snapproxy.core.plan_model import Fetch
from snapproxy.core.progress import Progress
from snapproxy.core.sources import fetch_expected_now
from snapproxy.core.time_spec import format_instant
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import DownloadOutcome, Stored
from snapproxy.errors import ArchiveDataError, ClientError, SnapproxyError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.jobs.unlisted_files import UnlistedFiles
from snapproxy.live.observations import Observations
from snapproxy.live.revalidate import Revalidator
from snapproxy.live.state import LiveState, LiveStates
from snapproxy_storage import Store

log = logging.getLogger(__name__)

TRIES = 6
"""Maximum number of attempts: a publication takes seconds, seldom minutes."""

PAUSE_SECONDS = 5.0
"""The first pause between two attempts, in seconds; each further pause is longer by this value."""

AT_ONCE = 4
"""Maximum number of concurrent downloads; the rate limit of each upstream also applies."""

PEEKS = 100
"""Number of store lookups before other tasks may run."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of an observation.

    `packages`: number fetched. `missing`: number unavailable; an unreadable index counts as one.

    `beside`: the files beside these roots that no index lists. `absent`: forms of these roots, and such files, that
    upstream lacked.

    `changed`: the roots that were new. `older`: changed roots whose date is before the date of the last observed one,
    because upstream went back in time. `dropped`: entries of these roots, and of the indexes that were read, that
    cannot be used.
    """

    at: Instant
    roots: tuple[str, ...]
    changed: tuple[str, ...]
    packages: int = 0
    missing: int = 0
    older: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    dropped: int = 0
    beside: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the observation as a line of the log."""
        text = f"{len(self.roots)} roots observed at {format_instant(self.at)}, {len(self.changed)} of them new"
        if self.packages or self.missing:
            text += f"; {self.packages} packages fetched, {self.missing} unavailable"
        if self.dropped:
            text += f"; unusable entries of indexes that were dropped: {self.dropped}"
        return text


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A root to observe: at least one of its possible names `candidates`, which are tried until `required` was tried.

    `indexes`: the requested ones; empty: all that it lists.
    """

    candidates: tuple[str, ...]
    indexes: set[str]
    required: str = ""


@dataclass(frozen=True, slots=True)
class _Revalidated:
    """The current roots, and the candidates that upstream lacked."""

    roots: Mapping[str, LiveState]
    absent: frozenset[str]

    @property
    def state(self) -> tuple[Mapping[str, str], frozenset[str]]:
        """What must be equal before and after the indexes are fetched."""
        return {path: root.file.digest for path, root in self.roots.items()}, self.absent


@dataclass(frozen=True, slots=True)
class _Inconsistent:
    """The reason why a set is inconsistent. `is_broken`: its root cannot be read, so another attempt is useless."""

    cause: str
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class _IndexCount:
    """The number of fetched indexes, and the listed forms of indexes that upstream does not serve."""

    fetched: int
    unserved: tuple[ExpectedFile, ...]


_ABSENT = Refusal(404, "The index lists the file, but upstream does not have it")


class Sweeper:
    """Observes archives. Several observations can run concurrently."""

    def __init__(
        self,
        *,
        unlisted: UnlistedFiles,
        revalidator: Revalidator,
        states: LiveStates,
        names: Names,
        observations: Observations,
        tables: IndexTables,
        downloads: Downloads,
        store: Store,
        clock: Clock,
    ) -> None:
        self._unlisted = unlisted
        self._revalidator = revalidator
        self._states = states
        self._names = names
        self._observations = observations
        self._tables = tables
        self._downloads = downloads
        self._blobs = store.blobs
        self._catalog = store.catalog
        self._clock = clock

    async def sweep(
        self, context: RequestContext, paths: Sequence[str], *, with_packages: bool, progress: Progress
    ) -> Observation | Refusal:
        """Observe the roots in `paths` with all their indexes.

        For an index in `paths`, observe only it and its root. A file that no index lists is observed beside the roots,
        and again with every later observation. Raises ClientError for any other path.
        """
        beside = [path for path in paths if context.family.classify(path).is_unlisted]
        wanted = _roots_wanted(context, [path for path in paths if path not in beside])
        outcome: Observation | Refusal | _Inconsistent = _Inconsistent("no attempt was made")
        for turn in range(TRIES):
            if turn:
                await self._clock.sleep(turn * PAUSE_SECONDS)
            outcome = await self._attempt(context, wanted, beside, progress)
            if isinstance(outcome, Observation):
                break
            if isinstance(outcome, Refusal) and not outcome.may_pass:
                return outcome
            if isinstance(outcome, _Inconsistent) and outcome.is_broken:
                break
        if isinstance(outcome, _Inconsistent):
            return _not_observed(context, outcome)
        if isinstance(outcome, Refusal):
            return outcome
        if with_packages:
            return await self._with_packages(context, outcome, wanted, progress)
        states = [(path, self._states.of(context.archive, path)) for path in outcome.roots]
        counts = [await _dropped(self._tables, context, state.file.digest, path) for path, state in states if state]
        return replace(outcome, dropped=sum(counts))

    # --- one attempt ----------------------------------------------------------------------------------------

    async def _attempt(
        self, context: RequestContext, wanted: Sequence[_Wanted], named: Sequence[str], progress: Progress
    ) -> Observation | Refusal | _Inconsistent:
        at = self._clock.now()
        found = await self._revalidated(context, wanted)
        if not isinstance(found, _Revalidated):
            return found
        roots = found.roots
        newest = {path: self._observations.newest(context.archive, path) for path in roots}
        changed = tuple(path for path, root in roots.items() if newest[path] != root.file.digest)
        fetched, unserved = 0, list[ExpectedFile]()
        for path, indexes in _found(wanted, roots):
            count = await self._fetch_indexes(context, path, roots[path], indexes, progress)
            if not isinstance(count, _IndexCount):
                return count
            fetched += count.fetched
            unserved += count.unserved
        beside = await self._unlisted.beside(context, roots, named)
        if changed or fetched:
            at = self._clock.now()
            again = await self._revalidated(context, wanted)
            if not isinstance(again, _Revalidated):
                return again
            if again.state != found.state:
                return _Inconsistent("a root changed while its indexes were being fetched")
            roots = again.roots
        forms = {form for path in roots for form in context.family.root_forms(path)}
        absent = (*sorted(found.absent & forms), *beside.absent)
        is_older = self._observations.is_older
        older = tuple(path for path in changed if is_older(context.archive, path, roots[path].file.digest))
        pairs = [root.seen(path, context.family) for path, root in roots.items()]
        if refusal := next(filter(None, (pair.refuse_at(context.archive, at) for pair in pairs)), None):
            return refusal
        if not await self._observations.record(context.archive, context.family, pairs, at, absent, beside.files):
            return _Inconsistent("two roots observed in the same second contradict each other")
        for expected in unserved:
            await self._catalog.put_fact(_unserved(context, expected), value=True)
        return Observation(at, tuple(roots), changed, older=older, absent=absent, beside=beside.paths)

    async def _revalidated(
        self, context: RequestContext, wanted: Sequence[_Wanted]
    ) -> _Revalidated | Refusal | _Inconsistent:
        """Revalidate the candidates of each root until the required one was tried and one exists."""
        roots: dict[str, LiveState] = {}
        absent: dict[str, Refusal] = {}
        for each in wanted:
            for number, path in enumerate(each.candidates, start=1):
                if path not in roots and path not in absent:
                    state = self._states.of(context.archive, path)
                    found = await self._revalidator.revalidate(context, path, state, anew=True)
                    if isinstance(found, LiveState):
                        roots[path] = found
                    elif isinstance(found, Refusal) and found.is_absence:
                        absent[path] = found
                    else:
                        return found if isinstance(found, Refusal) else refusals.disk_full()
                tried = each.candidates[:number]
                is_found = any(path in roots for path in tried)
                if is_found and each.required in ("", *tried):
                    break
            if not any(path in roots for path in each.candidates):
                return absent[each.required or each.candidates[-1]]
        return _Revalidated(roots, frozenset(absent))

    async def _fetch_indexes(
        self, context: RequestContext, path: str, root: LiveState, only: set[str], progress: Progress
    ) -> _IndexCount | Refusal | _Inconsistent:
        """Fetch the indexes of a root that are not stored.

        Some roots list forms of an index that are not served (Debian's uncompressed ones): these may be absent if
        another form is stored.
        """
        expected_files = await self._indexes(context, path, root.file.digest, only)
        if isinstance(expected_files, _Inconsistent):
            return expected_files
        missing = [
            each
            for each in expected_files
            if not await self._is_stored(context, each) and self._catalog.fact(_unserved(context, each), 0) is None
        ]
        outcomes = await self._fetch_all(context, [(each,) for each in missing], path, progress)
        refused = [
            (expected, refusal) for expected, refusal in zip(missing, outcomes, strict=True) if refusal is not None
        ]
        stored = {_stem(expected.path) for expected in expected_files if await self._is_stored(context, expected)}
        for expected, refusal in refused:
            if not refusal.is_absence:
                return refusal
            if expected.path in only or _stem(expected.path) not in stored:
                return _Inconsistent(f"{expected.path} was absent")
        return _IndexCount(len(missing) - len(refused), tuple(expected for expected, _ in refused))

    async def _indexes(
        self, context: RequestContext, path: str, digest: str, only: set[str]
    ) -> list[ExpectedFile] | _Inconsistent:
        try:
            if context.family.roots_list_packages:
                # Check that the root can be read. Such a root lists no indexes.
                await self._tables.expected(context.family, digest, path, "")
                return []
            entries = await self._tables.entries(context.family, digest, path)
        except ArchiveDataError as error:
            return _Inconsistent(f"{path}: {error.reason}", is_broken=True)
        return _selected(context, path, [expected for name, expected in entries if name == expected.path], only)

    async def _is_stored(self, context: RequestContext, expected: ExpectedFile) -> bool:
        digest = self._names.sha256_of(context.archive.name, expected)
        return digest is not None and await size_of(self._blobs, digest) is not None

    async def _fetch(self, context: RequestContext, expected: ExpectedFile) -> Refusal | None:
        step = fetch_expected_now(context.archive, expected, context.family)
        flight, _ = self._downloads.join(step, context, None)
        return _failure_of(step, await flight.wait_outcome(context, float("inf")))

    # --- packages -------------------------------------------------------------------------------------------

    async def _with_packages(
        self, context: RequestContext, swept: Observation, wanted: Sequence[_Wanted], progress: Progress
    ) -> Observation:
        """Fetch every package of the observed indexes that is not stored.

        An index whose packages are all stored is skipped from then on.
        """
        only = {path: each.indexes for each in wanted for path in each.candidates}
        packages = missing = dropped = 0
        for path in swept.roots:
            state = self._states.of(context.archive, path)
            if state is None:
                continue
            indexes = await self._indexes(context, path, state.file.digest, only[path])
            # All forms of one index list the same packages: one of them is read.
            tables = {
                _stem(each.path): (digest, each.path)
                for each in ([] if isinstance(indexes, _Inconsistent) else indexes)
                if await self._is_stored(context, each)
                and (digest := self._names.sha256_of(context.archive.name, each))
            }
            for digest, index in [(state.file.digest, path), *tables.values()]:
                fetched, failed = await self._packages_of(context, digest, index, progress)
                packages, missing = packages + fetched, missing + failed
                dropped += await _dropped(self._tables, context, digest, index)
        return replace(swept, packages=packages, missing=missing, dropped=dropped)

    async def _packages_of(
        self, context: RequestContext, digest: str, index: str, progress: Progress
    ) -> tuple[int, int]:
        if not context.family.classify(index).lists_files or self._catalog.fact(_complete(context, digest), 0):
            return 0, 0
        try:
            expected_files = await self._tables.all(context.family, digest, index)
        except SnapproxyError as error:
            log.warning("The packages of %s are not fetched: %s", index, error.reason)
            return 0, 1
        missing: dict[tuple[str, str] | None, list[ExpectedFile]] = {}
        for count, expected in enumerate(expected_files):
            if count % PEEKS == 0:
                await asyncio.sleep(0)
            is_package = context.family.classify(expected.path).role is Role.PACKAGE
            if is_package and not await self._is_stored(context, expected):
                missing.setdefault(identity(expected), []).append(expected)
        alternatives = [sorted(each, key=lambda expected: _order(expected.path, index)) for each in missing.values()]
        failed = sum(refusal is not None for refusal in await self._fetch_all(context, alternatives, index, progress))
        await self._unlisted.signatures(context, expected_files)
        if not failed:
            await self._catalog.put_fact(_complete(context, digest), value=True)
        return len(missing) - failed, failed

    async def _fetch_all(
        self, context: RequestContext, files: Sequence[Sequence[ExpectedFile]], what: str, progress: Progress
    ) -> list[Refusal | None]:
        """Fetch files of the index `what`, a few at a time; return for each None, or the refusal with the reason.

        Each file is given by its possible paths, likeliest first; the first one that upstream has is sufficient.
        """
        done, total = 0, sum(alternatives[0].size or 0 for alternatives in files)

        async def one(alternatives: Sequence[ExpectedFile]) -> Refusal | None:
            nonlocal done
            refusal = await _first_fetched(alternatives, lambda expected: self._fetch(context, expected))
            done += alternatives[0].size or 0
            progress.advance(what, done, total)
            return refusal

        outcomes = await gather_bounded(files, one, AT_ONCE)
        progress.finish(what)
        return outcomes


def _selected(
    context: RequestContext, path: str, expected_files: Sequence[ExpectedFile], only: set[str]
) -> list[ExpectedFile] | _Inconsistent:
    """Return the indexes to fetch that the root at `path` lists: those in `only`, or all if it is empty."""
    if only:
        found = [expected for expected in expected_files if expected.path in only]
        missing = only - {expected.path for expected in found}
        return _Inconsistent(f"{path} does not list {min(missing)}") if missing else found
    places = [(expected, context.family.classify(expected.path)) for expected in expected_files]
    return [each for each, place in places if place.role is Role.INDEX and not place.may_be_unlisted]


def _roots_wanted(context: RequestContext, paths: Sequence[str]) -> list[_Wanted]:
    """Return the roots to observe. Raises ClientError for a path that is neither a root nor an index of one."""
    wanted: dict[tuple[str, ...], _Wanted] = {}
    for path in paths:
        place = context.family.classify(path)
        if place.role is Role.ROOT:
            wanted[(path,)] = _Wanted(context.family.root_forms(path), set(), path)
        elif place.role is Role.INDEX and place.roots:
            wanted.setdefault(place.roots, _Wanted(place.roots, set())).indexes.add(path)
        else:
            raise ClientError(
                "The path is neither a root nor an index",
                why=f"{path} of {context.archive.name} lists no other files.",
                hint="Name a root, such as dists/stable/InRelease, or an index of a root.",
            )
    return list(wanted.values())


def _found(wanted: Sequence[_Wanted], roots: Mapping[str, LiveState]) -> Iterator[tuple[str, set[str]]]:
    """Yield the existing roots of each wanted one, with the requested indexes."""
    for each in wanted:
        for path in each.candidates:
            if path in roots:
                yield path, each.indexes


def _failure_of(step: Fetch, outcome: DownloadOutcome | None) -> Refusal | None:
    if isinstance(outcome, Refusal):
        return _ABSENT if outcome == refusals.absent(step) else outcome
    if isinstance(outcome, Stored) and outcome.is_in_memory:
        return refusals.disk_full()
    return None


def _not_observed(context: RequestContext, inconsistent: _Inconsistent) -> Refusal:
    if inconsistent.is_broken:
        why = f"{inconsistent.cause}. Nothing was recorded; earlier observations remain."
        return Refusal(424, "A root of the archive is invalid and was not observed", why)
    return Refusal(
        424,
        "The archive kept changing and was not observed",
        f"{TRIES} attempts to observe {context.archive.name} failed. Last cause: {inconsistent.cause}.",
        "Nothing was recorded. Try again later, or name fewer paths.",
    )


async def _first_fetched(
    alternatives: Sequence[ExpectedFile], fetch: Callable[[ExpectedFile], Awaitable[Refusal | None]]
) -> Refusal | None:
    """Fetch the first of the possible paths of a file that upstream has; if it has none, return the first refusal."""
    refusals = []
    for expected in alternatives:
        refusal = await fetch(expected)
        if refusal is None:
            return None
        refusals.append(refusal)
    log.info("%s was not fetched: %s", alternatives[0].path, refusals[0].reason)
    return refusals[0]


async def _dropped(tables: IndexTables, context: RequestContext, digest: str, index: str) -> int:
    """Return the number of entries of an index that were dropped, 0 if the index cannot be read."""
    if not context.family.classify(index).lists_files:
        return 0
    try:
        return (await tables.dropped_count(context.family, digest, index)).count
    except SnapproxyError:
        return 0


def _order(path: str, index: str) -> tuple[bool, bool, int]:
    """Return the sort key of a path among those under which an index may list one file, the likeliest first.

    The base of a flat repository is unknown: its folder (`deb http://host/a/b ./`) or a folder above it
    (`deb http://host/a b/`, with names like `b/x.deb`). Files are in the folder of the index, or else below it.
    """
    folder, inner = index[: index.rfind("/") + 1], path[: path.rfind("/") + 1]
    last = folder.rstrip("/").rpartition("/")[2]
    is_repeated = bool(last) and path.startswith(f"{folder}{last}/")
    return inner != folder, is_repeated, -len(path)


def _stem(path: str) -> str:
    """Return the common name of all forms of an index: its path up to the first dot of the last part."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _unserved(context: RequestContext, expected: ExpectedFile) -> str:
    _, digest = identity(expected) or ("", "")
    return f"unserved/{context.archive.name}/{expected.path}/{digest}"


def _complete(context: RequestContext, digest: str) -> str:
    return f"complete/{context.archive.name}/{digest}"
