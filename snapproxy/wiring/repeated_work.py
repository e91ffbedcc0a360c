"""The work that `serve` repeats in the background: clean-up, observations, mirrors."""

from __future__ import annotations

import contextlib
import logging
import platform
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Never, Protocol

from snapproxy.access.tokens import ClientTokens
from snapproxy.base.metrics import OBSERVATIONS
from snapproxy.base.schedule import FIRST_SECONDS, repeat
from snapproxy.config import MirroredSlice, Watch
from snapproxy.core.exchange import Answerer
from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, Instant, Match, Refusal, TimeSpec
from snapproxy.core.progress import SILENT
from snapproxy.errors import SnapproxyError
from snapproxy.families import FAMILIES
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings
from snapproxy.jobs.sweep import Observation
from snapproxy.jobs.timeline import entries, settled_instants
from snapproxy.prefetch.fetch_files import FileFetcher
from snapproxy.prefetch.mirror import Mirror, MirrorTarget
from snapproxy.prefetch.slice import SliceReader
from snapproxy.space.collector import DRAFT_SECONDS, Collector
from snapproxy.space.fsck import Fsck
from snapproxy.wiring.space_keeper import SpaceKeeper
from snapproxy.wiring.tidy import Tidy
from snapproxy.wiring.times import TimesApp
from snapproxy_storage import StorageFailure

CLEAN_UP_SECONDS = 3600.0
"""Interval between two clean-ups of such drafts."""

SPACE_SECONDS = 60.0
"""Interval between two looks at the disk space."""

COUNT_SECONDS = 86400.0
"""Interval between two counts of the stored files: files that were removed by hand count until then."""


CHECK_SECONDS = 600.0
"""Interval between two looks at whether a check of the stored files is due."""

log = logging.getLogger(__name__)


class Observe(Protocol):
    """Records the roots at `paths` of an archive as they are now."""

    async def __call__(self, archive: str, paths: Sequence[str], *, with_packages: bool) -> Observation | Refusal: ...


@dataclass(frozen=True, slots=True)
class RepeatedWork:
    """The parts that repeated work uses."""

    app: TimesApp
    answerer: Answerer
    tables: IndexTables
    listings: Listings
    observe: Observe
    tidy: Tidy
    tokens: ClientTokens
    fsck: Fsck
    space: SpaceKeeper | None = None
    collector: Collector | None = None

    def each(self, *, is_replay: bool) -> Iterator[Coroutine[Any, Any, Never]]:
        """Yield each piece of work, which runs until it is cancelled. A replay sends no requests of its own."""
        yield self._clean_up()
        yield self._keep_space()
        if self.app.config.fsck_every is not None:
            yield self._check(self.app.config.fsck_every)
        if not is_replay:
            yield from map(self._observe, self.app.config.watch)
            yield from map(self._mirror, self.app.config.mirror)

    async def _clean_up(self) -> Never:
        """Every hour discard interrupted downloads and open captures that were not continued, and old records."""
        while True:
            with _failures_logged("The hourly clean-up"):
                await self.app.store.counters.fold()
                await self.app.store.drafts.sweep(older_than=DRAFT_SECONDS)
                await self.tokens.flush()
                if self.collector is not None:
                    await self.collector.expire_captures()
                await self.tidy.bound(self.app.clock.now())
            await self.app.clock.sleep(CLEAN_UP_SECONDS)

    async def _keep_space(self) -> Never:
        """Count the stored files, at the start and every day. Write served times and keep the quota every minute."""
        store, clock = self.app.store, self.app.clock
        if self.space is not None:
            store.space.on_shortage(self.space.make_room)
        counted = float("-inf")
        while True:
            with _failures_logged("Looking after the disk space"):
                if clock.monotonic() - counted >= COUNT_SECONDS:
                    await store.space.recount()
                    await self.tidy.forget_removed_files()
                    counted = clock.monotonic()
                await store.served.flush()
                if self.space is not None:
                    await self.space.keep()
            await clock.sleep(SPACE_SECONDS)

    async def _check(self, every: float) -> Never:
        """Check all stored files when they are due, and continue a check that a restart interrupted."""
        clock = self.app.clock
        await clock.sleep(FIRST_SECONDS)  # clients are served first
        while True:
            try:
                report = await self.fsck.run_if_due(self.app.config.fsck_rate, every)
            except (SnapproxyError, StorageFailure) as failure:
                log.warning("The check of the stored files failed: %s", failure)
            else:
                if report is not None:
                    log.log(logging.ERROR if report.is_bad else logging.INFO, "%s", report.line())
            await clock.sleep(CHECK_SECONDS)

    async def _observe(self, watch: Watch) -> Never:
        """Observe an archive on schedule. A restart does not observe again before the interval is over."""
        app, archive = self.app, self.app.archive(watch.archive)
        last = max((seen for path in watch.paths if (seen := app.observations.last(archive, path))), default=None)

        async def observe() -> str | Refusal:
            success, failure = (OBSERVATIONS.key(archive.name, word) for word in ("success", "failure"))
            try:
                outcome = await self.observe(watch.archive, watch.paths, with_packages=watch.packages == "all")
            except (SnapproxyError, StorageFailure):
                app.store.counters.add(failure)
                raise
            app.store.counters.add(failure if isinstance(outcome, Refusal) else success)
            return outcome if isinstance(outcome, Refusal) else outcome.line()

        await repeat(observe, watch.every, last, app.clock, what=f"The observation of {watch.archive}")

    async def _mirror(self, mirrored: MirroredSlice) -> Never:
        """Fetch each new snapshot of a slice on schedule."""
        archive = self.app.archive(mirrored.archive)
        selections = tuple(
            Selection(suite, mirrored.components, mirrored.architectures, platform.machine())
            for suite in mirrored.suites or ("",)
        )
        mirror = Mirror(
            MirrorTarget(archive, selections),
            SliceReader(archive, self.answerer, self.tables, self.listings, SILENT),
            FileFetcher(self.answerer, families=FAMILIES, clock=self.app.clock),
            self.app.store.catalog,
            self.settled_since,
        )
        what = f"The mirror of {archive.name} {' '.join(mirrored.suites or mirrored.components)}"
        await repeat(mirror.update, mirrored.every, None, self.app.clock, what=what)

    async def settled_since(self, archive: Archive, last: Instant | None) -> Sequence[Instant] | Refusal:
        """Return the settled snapshots of an archive after an instant; None: the newest one alone."""
        app = self.app
        newest = await app.snapshot(archive, TimeSpec("latest", None, Match.LATEST))
        if isinstance(newest, Refusal) or last is None:
            return newest if isinstance(newest, Refusal) else [newest.instant]
        context = app.context(archive)
        found = await entries(context, last, newest.instant, app.clock.now(), app.timelines, app.observations)
        return found if isinstance(found, Refusal) else settled_instants(found, last, newest.instant)


@contextlib.contextmanager
def _failures_logged(what: str) -> Iterator[None]:
    """Log the failure of work that is tried again: it must not end the service."""
    try:
        yield
    except (SnapproxyError, StorageFailure) as failure:
        log.warning("%s failed, and is tried again: %s", what, failure)
