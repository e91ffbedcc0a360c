"""The composition root: builds everything from the configuration, and nothing else builds anything.

Read `build` top to bottom to see what snapproxy consists of. Objects own their state; there are no globals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import Any, Never, Self

from snapproxy.answer.bad_snapshots import BadSnapshots
from snapproxy.answer.by_digest import StoreByDigest
from snapproxy.answer.executor import Executor
from snapproxy.answer.facts import Facts
from snapproxy.answer.planner import Planner
from snapproxy.answer.snapshot_api import SnapshotApi
from snapproxy.answer.snapshot_lookup import CatalogSnapshotLookup
from snapproxy.answer.timelines import Timelines
from snapproxy.archives import HISTORIES
from snapproxy.base.clock import Clock, SystemClock
from snapproxy.base.names import Names
from snapproxy.base.stats import Stats
from snapproxy.capture.captures import Captures
from snapproxy.capture.freeze import Freeze
from snapproxy.capture.offline import OfflineCaptures
from snapproxy.capture.recorder import Recorder
from snapproxy.capture.refetch import Refetch
from snapproxy.capture.replay import Replay, Replayed
from snapproxy.config import Config, Watch
from snapproxy.core import address
from snapproxy.core.address import AddressBook
from snapproxy.core.exchange import Conditions, FileTarget, Moved
from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, Instant, Refusal, Resolved, TimeSpec
from snapproxy.core.progress import SILENT, Progress
from snapproxy.core.record import Record
from snapproxy.core.time_spec import parse_time
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import RecentOutcomes
from snapproxy.download.services import DownloadServices
from snapproxy.errors import ClientError
from snapproxy.families import FAMILIES
from snapproxy.indexes.helper_process import HelperProcess
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings
from snapproxy.jobs.archive_diff import ArchiveDiff, Differ
from snapproxy.jobs.export import Exporter
from snapproxy.jobs.fetch import Fetched, copy
from snapproxy.jobs.import_artifact import Importer
from snapproxy.jobs.mark_bad import mark
from snapproxy.jobs.sweep import Sweeper, Swept
from snapproxy.jobs.timeline import TimelineEntry, entries
from snapproxy.jobs.trust_record import RecordTrust
from snapproxy.jobs.watch import repeat
from snapproxy.live.adopt import SetAdopter
from snapproxy.live.live_files import LiveFiles
from snapproxy.live.observations import Observations
from snapproxy.live.revalidate import Revalidator
from snapproxy.live.state import LiveStates
from snapproxy.oci.logins import RegistryLogins
from snapproxy.trust.openpgp import OpenPgpVerifier
from snapproxy.trust.roots import RootVerifier, available_keyrings
from snapproxy.upstream.client import UpstreamClient
from snapproxy.upstream.pass_through import PassThrough
from snapproxy.upstream.rate_limit import RateLimiter
from snapproxy.web.front_end import serving
from snapproxy_storage import StorageFailure, Store, open_store

DRAFT_SECONDS = 86400.0
"""How long the draft of an interrupted download is kept for a resume."""

TIDY_SECONDS = 3600.0


class App:
    """snapproxy, built. An async context manager: inside, the store is open and upstreams can be asked."""

    def __init__(
        self,
        config: Config,
        store: Store,
        book: AddressBook,
        *,
        offline: bool,
        clock: Clock,
        replayed: Replayed | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self.blobs = store.blobs
        self._book = book
        self._offline = offline
        self._clock = clock
        self._replayed = replayed
        self._instance = f"snapproxy-{secrets.token_hex(8)}"
        self._stack = contextlib.AsyncExitStack()
        self.tally = Stats()

    async def __aenter__(self) -> Self:
        config, store, clock, tally, offline = self._config, self._store, self._clock, self.tally, self._offline
        self._stack.push_async_callback(store.close)
        limiter = RateLimiter(clock=clock, store=store.catalog, slots=store.slots, policies=config.policies)
        enter = self._stack.enter_async_context
        logins = await enter(RegistryLogins(config.blob_sources, environ=os.environ, clock=clock))
        upstream = await enter(UpstreamClient(limiter=limiter, clock=clock, instance=self._instance, logins=logins))
        names = Names(store.catalog, clock)
        helper = HelperProcess(config.cache_dir, clock)
        self._tables = tables = IndexTables(store, helper)
        self._listings = Listings(store, helper)
        self._stack.push_async_callback(tables.close)
        services = DownloadServices(
            upstream=upstream,
            recent=RecentOutcomes(expiring=store.expiring, limiter=limiter, clock=clock),
            names=names,
            drafts=store.drafts,
            blobs=store.blobs,
            slots=store.slots,
            clock=clock,
            stats=tally,
        )
        flights = Downloads(services=services, clock=clock)
        keyrings = {archive.name: available_keyrings(archive, FAMILIES[archive.family]) for archive in config.archives}
        roots = RootVerifier(store.blobs, OpenPgpVerifier(clock=clock), keyrings)
        self._observations = observations = Observations(store.catalog, tables)
        live = self._live(names, flights, tables, roots, observations)
        self._stack.push_async_callback(live.close)
        self._timelines = timelines = Timelines(
            catalog=store.catalog, slots=store.slots, upstream=upstream, clock=clock, tally=tally, offline=offline
        )
        self._stack.push_async_callback(timelines.close)
        self._marks = BadSnapshots(store.catalog)
        facts = Facts(
            store=store, names=names, timelines=timelines, tables=tables, live=live, observations=observations
        )
        self.executor = Executor(
            store=store,
            families=FAMILIES,
            patience=config.patience,
            histories=HISTORIES,
            planner=Planner(facts, names, clock),
            flights=flights,
            roots=roots,
            names=names,
            bad=self._marks,
            service=SnapshotApi(store=store, flights=flights, names=names, clock=clock, offline=offline),
            clock=clock,
            offline=offline,
        )
        self._stack.push_async_callback(self.executor.close)
        self.captures, self.answerer = self._capturing(
            CatalogSnapshotLookup(self.executor, observations, tables, FAMILIES)
        )
        self._stack.push_async_callback(self.answerer.close)
        self.exporter = Exporter(store.blobs, clock)
        adopter = RecordTrust(store, self._book.names, self.executor, facts, roots, names, observations, clock)
        self.importer = Importer(store, self.captures, adopter, self._book.names, clock)
        return self

    def _capturing(self, settler: CatalogSnapshotLookup) -> tuple[Captures, Recorder | OfflineCaptures | Replay]:
        store, now, replayed = self._store, self._clock.now, self._replayed
        captures = Captures(
            store, families={archive.name: archive.family for archive in self._config.archives}, now=now
        )
        if replayed is not None:
            archives = {} if self._offline else self._book.names
            bring = replayed.bring or Refetch(settler, store.blobs, archives)
            return captures, Replay(replayed.record, FAMILIES, bring, what=replayed.what)
        if self._offline:
            return captures, OfflineCaptures(self.executor, captures, families=FAMILIES, blobs=store.blobs)
        stillness = Freeze(settler, families=FAMILIES, histories=HISTORIES, now=now)
        return captures, Recorder(self.executor, captures, stillness=stillness, blobs=store.blobs)

    def _live(
        self, names: Names, flights: Downloads, tables: IndexTables, roots: RootVerifier, observations: Observations
    ) -> LiveFiles:
        store, clock = self._store, self._clock
        standings = LiveStates(store.catalog, store.blobs)
        successors = SetAdopter(blobs=store.blobs, names=names, flights=flights, tables=tables, clock=clock)
        confirming = Revalidator(
            standings=standings,
            successors=successors,
            slots=store.slots,
            flights=flights,
            roots=roots,
            observations=observations,
            clock=clock,
        )
        self._sweeper = Sweeper(
            confirming=confirming,
            standings=standings,
            names=names,
            observations=observations,
            tables=tables,
            flights=flights,
            store=store,
            clock=clock,
        )
        return LiveFiles(
            standings=standings, confirming=confirming, flights=flights, clock=clock, offline=self._offline
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def serve(self, sockets: Sequence[socket]) -> None:
        """Answer on `sockets`, which become ours to close, until cancelled."""
        forwarder = PassThrough(self.tally, instance=self._instance)
        front = serving(
            sockets,
            self.answerer,
            self._book,
            holding=StoreByDigest(self._store.blobs, Names(self._store.catalog, self._clock)),
            forwarder=forwarder,
            tally=self.tally,
            stats=self.stats,
            health=self._health,
            is_discoverable=self._config.default_when is not None,
            instance=self._instance,
            now=self._clock.now,
        )
        try:
            async with front, asyncio.TaskGroup() as chores:
                chores.create_task(self._tidy())
                for watch in () if self._offline or self._replayed else self._config.watch:
                    chores.create_task(self._keep_watch(watch))
        finally:
            await forwarder.close()

    async def _tidy(self) -> Never:
        """For as long as we serve, throw away what interrupted downloads left and nobody came back for."""
        while True:
            with contextlib.suppress(StorageFailure):  # the next hour will do; what fails serving says so itself
                await self._store.drafts.sweep(older_than=DRAFT_SECONDS)
            await self._clock.sleep(TIDY_SECONDS)

    async def _keep_watch(self, watch: Watch) -> Never:
        """Observe on schedule, politely: in the background, and not again at once after a restart."""
        archive = self._archive(watch.archive)
        last = max((seen for path in watch.paths if (seen := self._observations.last(archive, path))), default=None)
        await repeat(
            lambda: self.observe(watch.archive, watch.paths, with_packages=watch.packages == "all"),
            watch.every,
            last,
            self._clock,
            what=watch.archive,
        )

    async def observe(
        self, archive: str, paths: Sequence[str], *, with_packages: bool, progress: Progress = SILENT
    ) -> Swept | Refusal:
        """Take an observation of an archive now. Raises ClientError for an unknown archive, and for paths that vouch for nothing."""
        if self._offline:
            return Refusal(424, "Offline: nothing can be observed")
        context = self.executor.context(self._archive(archive), Conditions(background=True))
        canonical = [address.canonical_path(path) for path in paths]
        return await self._sweeper.sweep(context, canonical, with_packages=with_packages, progress=progress)

    async def timeline(self, archive: str, start: Instant, end: Instant) -> list[TimelineEntry] | Refusal:
        """Return which instants of an archive exist between two. Raises ClientError as `resolve`."""
        context = self.executor.context(self._archive(archive), Conditions())
        return await entries(context, start, end, self._clock.now(), self._timelines, self._observations)

    async def mark(self, archive: str, when: TimeSpec, because: str | None) -> Instant | Refusal:
        """Mark the snapshot that answers for a time as bad, and say why; with None, take the mark back. Return its instant."""
        context, now = self.executor.context(self._archive(archive), Conditions()), self._clock.now()
        exists = await entries(context, start := when.instant or now, start, now, self._timelines, self._observations)
        settled = await self.executor.resolve(self._archive(archive), when)
        return await mark(context, when, exists, settled, self._marks, because)

    async def diff(
        self, archive: str, before: str, after: str, selection: Selection, progress: Progress
    ) -> ArchiveDiff | Refusal:
        """Say which packages differ between two times. Raises ClientError as `resolve`, ConfigurationError for a selection that names too little."""
        differ = Differ(self._archive(archive), self.executor, self._tables, self._listings, progress)
        return await differ.compare(parse_time(before), parse_time(after), selection)

    async def resolve(self, archive: str, when: str) -> Resolved | Refusal:
        """Settle a *when* of an archive. Raises ClientError for words that are no archive or no time."""
        return await self.executor.resolve(self._archive(archive), parse_time(when))

    async def fetch(self, archive: str, when: str, path: str, target: Path, progress: Progress) -> Fetched | Refusal:
        """Bring a file to `target`: whole and verified, or not at all. Raises ClientError as `resolve`."""
        asked = FileTarget(self._archive(archive), parse_time(when), address.canonical_path(path))
        outcome = await self.executor.answer(asked, Conditions())
        if isinstance(outcome, Moved):
            return Refusal(404, "That is a folder, not a file")
        if isinstance(outcome, Refusal):
            return outcome
        return await copy(outcome, target, progress, path)

    async def answered(self, capture: str = "") -> Record:
        """Return what was answered so far: of the record that is replayed, else what a capture holds. Nothing may be under way."""
        if isinstance(self.answerer, Replay):
            return self.answerer.answered
        await self.answerer.close()  # the notes of what nobody read to its end
        return await self.captures.record(capture) if capture in self.captures.names() else Record((), {})

    def now(self) -> Instant:
        """Return the time by the clock this application runs by."""
        return self._clock.now()

    def stats(self) -> dict[str, Any]:
        """Return what was done so far, ready for JSON."""
        return self.tally.as_json()

    def _archive(self, name: str) -> Archive:
        archive = self._book.names.get(name)
        if archive is None:
            known = ", ".join(sorted(self._book.names))
            raise ClientError(
                "There is no archive of that name", why=f"Known are: {known}.", hint="Add a row to the configuration."
            )
        return archive

    async def _health(self) -> str:
        """Return what is wrong with the store, '' when nothing is: a name can be read, and the disk takes a byte."""
        try:
            await self._store.catalog.put_fact("health", self._clock.now())
        except StorageFailure as failure:
            return str(failure)
        return ""


def build(
    config: Config,
    *,
    offline: bool = False,
    pinned: str = "",
    passes: tuple[tuple[str, int], ...] = (),
    capture: str = "",
    replayed: Replayed | None = None,
) -> App:
    """Build snapproxy. `replayed`: what is answered again, and nothing else is.

    `pinned` is the time of every request that names none, `capture` the capture of every one that names none, and `passes` are
    hosts let through besides the configured.
    """
    book = AddressBook(
        archives=config.archives,
        histories=HISTORIES,
        default_when=parse_time(pinned) if pinned else config.default_when,
        default_capture=capture,
        passes=(*config.passes, *passes),
        connect=config.connect,
    )
    store = open_store(config.state_dir, config.cache_dir)
    return App(config, store, book, offline=offline, clock=SystemClock(), replayed=replayed)
