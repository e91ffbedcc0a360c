"""Build the whole application from its configuration.

Read `assemble` from top to bottom to see the parts. Objects own their state; there are no globals.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from socket import socket
from typing import Any, Self

from snapproxy.access.gate import Gate, TokenRule
from snapproxy.access.networks import ClientNetworks
from snapproxy.access.tokens import ClientTokens
from snapproxy.answer.bad_snapshots import BadSnapshots
from snapproxy.answer.by_digest import StoreByDigest
from snapproxy.answer.executor import Executor
from snapproxy.answer.facts import Facts
from snapproxy.answer.planner import Planner
from snapproxy.answer.snapshot_api import SnapshotApi
from snapproxy.answer.snapshot_files import SnapshotFiles
from snapproxy.answer.snapshot_lookup import CatalogSnapshotLookup
from snapproxy.answer.timeline_service import TimelineService
from snapproxy.answer.timelines import Timelines
from snapproxy.archives import HISTORIES
from snapproxy.base.clock import Clock, SystemClock
from snapproxy.base.names import Names
from snapproxy.base.shared_counts import SharedCounts
from snapproxy.base.stats import Stats
from snapproxy.capture.captures import Captures
from snapproxy.capture.freeze import Freeze
from snapproxy.capture.offline import OfflineCaptures
from snapproxy.capture.recorder import Recorder
from snapproxy.capture.refetch import Refetch
from snapproxy.capture.replay import Replay, Replayed
from snapproxy.config import Config
from snapproxy.core.address import AddressBook
from snapproxy.core.exchange import Conditions
from snapproxy.core.model import Refusal
from snapproxy.core.paths import canonical_path
from snapproxy.core.progress import SILENT, Progress
from snapproxy.core.record import Record
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import RecentOutcomes
from snapproxy.download.services import DownloadServices
from snapproxy.families import FAMILIES
from snapproxy.indexes.helper_process import HelperProcess
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.indexes.listings import Listings
from snapproxy.jobs.export import Exporter
from snapproxy.jobs.import_artifact import Importer
from snapproxy.jobs.sweep import Observation, Sweeper
from snapproxy.jobs.trust_record import RecordTrust
from snapproxy.jobs.unlisted_files import UnlistedFiles
from snapproxy.live.adopt import SetAdopter
from snapproxy.live.live_files import LiveFiles
from snapproxy.live.observations import Observations
from snapproxy.live.revalidate import Revalidator
from snapproxy.live.state import LiveStates
from snapproxy.prefetch.records import Records
from snapproxy.space.collector import Collector
from snapproxy.space.fsck import Fsck
from snapproxy.space.pins import Pins
from snapproxy.trust.openpgp import OpenPgpVerifier
from snapproxy.trust.roots import RootVerifier, available_keyrings
from snapproxy.upstream.rate_limit import RateLimiter
from snapproxy.web.proxy_server import GRACE_SECONDS, ProxyServer, Site, serving
from snapproxy.wiring.addresses import address_book
from snapproxy.wiring.record_services import record_services
from snapproxy.wiring.repeated_work import RepeatedWork
from snapproxy.wiring.space import build_collector
from snapproxy.wiring.space_keeper import SpaceKeeper
from snapproxy.wiring.tidy import Tidy
from snapproxy.wiring.times import TimesApp
from snapproxy.wiring.upstream import Upstream, new_forwarder, new_instance, open_upstream
from snapproxy_storage import StorageFailure, Store, open_store


@dataclass(frozen=True, kw_only=True)
class App(TimesApp):
    """The parts of a running snapproxy that its verbs use. The store is open and upstreams can be contacted.

    `answerer` answers requests: it wraps `executor`, and records, freezes or replays captures. `names` and `limiter`
    have the stored files and the state of each upstream, for estimates.
    """

    book: AddressBook
    tally: Stats
    instance: str
    offline: bool
    names: Names
    limiter: RateLimiter
    downloads: Downloads
    executor: Executor
    tables: IndexTables
    listings: Listings
    sweeper: Sweeper
    captures: Captures
    answerer: Recorder | OfflineCaptures | Replay
    exporter: Exporter
    importer: Importer
    record_services: tuple[Records, ...]
    tokens: ClientTokens
    collector: Collector
    fsck: Fsck

    async def serve(self, sockets: Sequence[socket], *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Answer on `sockets`, which are closed at the end, until cancelled. Then answers get some time to end.

        It is the server of a command: this machine may always use it, and no token is demanded, because the programs
        that the command starts have none.
        """
        pass_through = new_forwarder(self.config, self.tally, instance=self.instance)
        site = replace(
            self.site(),
            admits=ClientNetworks(("loopback", *self.config.clients)).admits,
            gate=Gate(self.tokens, TokenRule.OPTIONAL),
        )
        server = ProxyServer(
            sockets,
            site,
            forwarder=pass_through,
            traffic=self.tally,
            instance=self.instance,
            now=self.clock.now,
            note_served=self.store.served.note,
        )
        try:
            async with serving(server, lambda: grace_seconds):
                await self.repeat_work()
        finally:
            await pass_through.close()

    def site(self) -> Site:
        """Return what answers requests under this configuration."""
        return Site(
            answerer=self.answerer,
            book=self.book,
            by_digest=StoreByDigest(self.store.blobs, Names(self.store.catalog, self.clock)),
            stats=self.stats,
            health=self.health,
            ready=self.ready,
            is_discoverable=self.config.default_when is not None,
            admits=ClientNetworks(self.config.clients).admits,
            gate=self.gate(),
        )

    def gate(self) -> Gate:
        """Return what decides by the tokens of clients."""
        return Gate(self.tokens, TokenRule(self.config.tokens))

    async def repeat_work(self) -> None:
        """Do the work that is repeated while the server runs, until cancelled. First apply the limits of disk space."""
        self.store.space.set_limits(self.config.quota, self.config.free_space)
        async with asyncio.TaskGroup() as background:
            pins = Pins(self.store.catalog, self.store.blobs)
            tidy = Tidy(store=self.store, archives=tuple(self.archives), kept_spaces=pins.snapshots)
            keeper = SpaceKeeper(self.store, self.collector)
            work = RepeatedWork(
                self,
                self.answerer,
                self.tables,
                self.listings,
                self.observe,
                tidy,
                self.tokens,
                self.fsck,
                keeper,
                self.collector,
            )
            for each in work.each(is_replay=self.offline or isinstance(self.answerer, Replay)):
                background.create_task(each)

    async def observe(
        self, archive: str, paths: Sequence[str], *, with_packages: bool, progress: Progress = SILENT
    ) -> Observation | Refusal:
        """Record the roots at `paths` and their indexes as they are now.

        Raises ClientError for an unknown archive, and for a path that is neither a root nor an index.
        """
        if self.offline:
            return Refusal(424, "Offline: an archive cannot be observed", hint="Observe it without --offline.")
        context = self.executor.context(self.archive(archive), Conditions(background=True))
        canonical = [canonical_path(path) for path in paths]
        return await self.sweeper.sweep(context, canonical, with_packages=with_packages, progress=progress)

    async def answered(self, capture: str = "") -> Record:
        """Return the record of the answers so far: from the record that is replayed, otherwise into a capture.

        No request may be in progress.
        """
        if isinstance(self.answerer, Replay):
            return self.answerer.answered
        await self.answerer.close()  # writes the notes of bodies that clients did not read to the end
        return await self.captures.record(capture) if capture in self.captures.names() else Record((), {})

    def stats(self) -> dict[str, Any]:
        """Return the statistics so far, ready for JSON."""
        return self.tally.as_json()

    async def health(self) -> str:
        """Return the store's error, '' if it works: a value can be written and read."""
        try:
            await self.store.catalog.put_fact("health", self.clock.now())
        except StorageFailure as failure:
            return str(failure)
        return ""

    async def ready(self) -> str:
        """Return why downloads cannot be stored, '' if they can."""
        return await self.health() or await self.store.disk_fault()


@dataclass(frozen=True, slots=True)
class Process:
    """The parts that a process keeps when its configuration is replaced: its name in Via, and its statistics."""

    instance: str
    stats: Stats

    @classmethod
    def new(cls, store: Store) -> Self:
        """Return those of a process that starts on a store."""
        return cls(new_instance(), Stats(shared=SharedCounts(store.counters)))


@asynccontextmanager
async def assemble(
    config: Config,
    store: Store,
    book: AddressBook,
    *,
    offline: bool,
    clock: Clock,
    replayed: Replayed | None = None,
    process: Process | None = None,
) -> AsyncIterator[App]:
    """Build every part, package by package, each from those built before; close them in reverse order.

    The store is closed with it, unless a `process` has several in turn. `replayed`: the record to answer from.
    """
    async with AsyncExitStack() as stack:
        if process is None:
            stack.push_async_callback(store.close)
        parts = await _lower_parts(stack, config, store, clock, process or Process.new(store), offline=offline)
        facts = _facts(store, parts)
        bad_snapshots = BadSnapshots(store.catalog)
        planner = Planner(facts, parts.names, clock)
        executor = _executor(config, store, parts, planner, bad_snapshots, clock, offline=offline)
        stack.push_async_callback(executor.close)
        captures = _captures(config, store, clock)
        lookup = CatalogSnapshotLookup(executor, parts.observations, parts.tables, FAMILIES)
        answerer = _answerer(store, book, executor, captures, lookup, clock, offline=offline, replayed=replayed)
        stack.push_async_callback(answerer.close)
        tokens = ClientTokens(store.catalog, clock)
        stack.push_async_callback(tokens.flush)
        bring = None if offline else Refetch(lookup, store.blobs, book.names, background=True)
        trust = RecordTrust(store, book.names, executor, facts, parts.roots, parts.names, parts.observations, clock)
        yield App(
            config=config,
            archives=book.names,
            book=book,
            store=store,
            clock=clock,
            planner=planner,
            tally=parts.stats,
            instance=parts.instance,
            offline=offline,
            names=parts.names,
            limiter=parts.limiter,
            downloads=parts.downloads,
            executor=executor,
            timelines=parts.timelines,
            observations=parts.observations,
            bad_snapshots=bad_snapshots,
            tables=parts.tables,
            listings=parts.listings,
            sweeper=parts.sweeper,
            captures=captures,
            collector=build_collector(stack, config, store, book.names, parts.tables, captures, clock),
            answerer=answerer,
            exporter=Exporter(store.blobs, clock),
            tokens=tokens,
            importer=Importer(store, captures, trust, book.names, clock),
            record_services=() if offline else parts.record_services,
            fsck=Fsck(store, captures, bring, clock),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _LowerParts:
    """The parts that the executor is built from."""

    instance: str
    stats: Stats
    names: Names
    limiter: RateLimiter
    tables: IndexTables
    listings: Listings
    roots: RootVerifier
    downloads: Downloads
    observations: Observations
    live: LiveFiles
    sweeper: Sweeper
    timelines: Timelines
    record_services: tuple[Records, ...]


async def _lower_parts(
    stack: AsyncExitStack, config: Config, store: Store, clock: Clock, process: Process, *, offline: bool
) -> _LowerParts:
    """Build `base`, `upstream`, `indexes`, `trust`, `download` and `live`, in this order."""
    instance, stats, names = process.instance, process.stats, Names(store.catalog, clock)
    opening = open_upstream(config, store, clock, instance=instance, counts=stats.shared)
    upstream = await stack.enter_async_context(opening)
    helper = HelperProcess(config.cache_dir, clock, store.counters)
    tables = IndexTables(store, helper)
    stack.push_async_callback(tables.close)
    keyrings = {archive.name: available_keyrings(archive, FAMILIES[archive.family]) for archive in config.archives}
    roots = RootVerifier(store.blobs, OpenPgpVerifier(clock=clock), keyrings)
    downloads = _downloads(store, upstream, names, clock, stats)
    observations = Observations(store.catalog, tables)
    live, sweeper = _live(store, names, downloads, tables, roots, observations, clock, offline=offline)
    stack.push_async_callback(live.close)
    timelines = Timelines(
        catalog=store.catalog,
        slots=store.slots,
        ask_upstream=TimelineService(upstream.client, clock, stats).ask,
        clock=clock,
        offline=offline,
    )
    stack.push_async_callback(timelines.close)
    return _LowerParts(
        instance=instance,
        stats=stats,
        names=names,
        limiter=upstream.limiter,
        tables=tables,
        listings=Listings(store, helper),
        roots=roots,
        downloads=downloads,
        observations=observations,
        live=live,
        sweeper=sweeper,
        timelines=timelines,
        record_services=record_services(config, upstream, stats),
    )


def _downloads(store: Store, upstream: Upstream, names: Names, clock: Clock, stats: Stats) -> Downloads:
    services = DownloadServices(
        upstream=upstream.client,
        recent=RecentOutcomes(expiring=store.expiring, limiter=upstream.limiter, clock=clock),
        names=names,
        drafts=store.drafts,
        blobs=store.blobs,
        slots=store.slots,
        clock=clock,
        stats=stats,
    )
    return Downloads(services=services, clock=clock)


def _live(
    store: Store,
    names: Names,
    downloads: Downloads,
    tables: IndexTables,
    roots: RootVerifier,
    observations: Observations,
    clock: Clock,
    *,
    offline: bool,
) -> tuple[LiveFiles, Sweeper]:
    """Build the files of the present, and the observations of them, which share one revalidation of each root."""
    states = LiveStates(store.catalog, store.blobs)
    revalidator = Revalidator(
        states=states,
        adopter=SetAdopter(blobs=store.blobs, names=names, downloads=downloads, tables=tables, clock=clock),
        slots=store.slots,
        downloads=downloads,
        roots=roots,
        observations=observations,
        clock=clock,
    )
    live = LiveFiles(
        states=states,
        revalidator=revalidator,
        downloads=downloads,
        observations=observations,
        clock=clock,
        offline=offline,
    )
    sweeper = Sweeper(
        unlisted=UnlistedFiles(live=live, names=names, observations=observations, downloads=downloads, clock=clock),
        revalidator=revalidator,
        states=states,
        names=names,
        observations=observations,
        tables=tables,
        downloads=downloads,
        store=store,
        clock=clock,
    )
    return live, sweeper


def _facts(store: Store, parts: _LowerParts) -> Facts:
    return Facts(
        store=store,
        names=parts.names,
        timelines=parts.timelines,
        tables=parts.tables,
        live=parts.live,
        observations=parts.observations,
    )


def _captures(config: Config, store: Store, clock: Clock) -> Captures:
    families = {each.name: each.family for each in config.archives}
    return Captures(store, families=families, now=clock.now, most_open=config.open_captures)


def _executor(
    config: Config,
    store: Store,
    parts: _LowerParts,
    planner: Planner,
    bad_snapshots: BadSnapshots,
    clock: Clock,
    *,
    offline: bool,
) -> Executor:
    downloads, names = parts.downloads, parts.names
    files = SnapshotFiles(
        store=store, planner=planner, downloads=downloads, roots=parts.roots, names=names, offline=offline
    )
    return Executor(
        store=store,
        families=FAMILIES,
        patience=config.patience,
        histories=HISTORIES,
        planner=planner,
        files=files,
        downloads=downloads,
        names=names,
        bad=bad_snapshots,
        service=SnapshotApi(store=store, downloads=downloads, names=names, clock=clock, offline=offline),
        clock=clock,
        offline=offline,
    )


def _answerer(
    store: Store,
    book: AddressBook,
    executor: Executor,
    captures: Captures,
    lookup: CatalogSnapshotLookup,
    clock: Clock,
    *,
    offline: bool,
    replayed: Replayed | None,
) -> Recorder | OfflineCaptures | Replay:
    """Build the answerer: a replay of one record, captures offline, or the recorder that wraps the executor."""
    if replayed is not None:
        bring = replayed.bring or Refetch(lookup, store.blobs, {} if offline else book.names)
        return Replay(replayed.record, FAMILIES, bring, what=replayed.what)
    if offline:
        return OfflineCaptures(executor, captures, families=FAMILIES, blobs=store.blobs)
    freeze = Freeze(lookup, families=FAMILIES, histories=HISTORIES, now=clock.now)
    return Recorder(executor, captures, freeze=freeze, blobs=store.blobs)


def build(
    config: Config,
    *,
    offline: bool = False,
    pinned: str = "",
    passes: tuple[tuple[str, int], ...] = (),
    capture: str = "",
    replayed: Replayed | None = None,
) -> AbstractAsyncContextManager[App]:
    """Open the store and return the application, to be entered with `async with`.

    `pinned`: the time of every request without one, which is also the time in the credentials of its clients.
    `capture`: the capture of every request without one. `passes`: hosts that may be reached unpinned, in addition to
    the configuration's. `replayed`: the record to answer from, instead of the archives.
    """
    book = address_book(config, pinned=pinned, passes=passes, capture=capture)
    store = open_store(config.state_dir, config.cache_dir, quota=config.quota, free_space=config.free_space)
    return assemble(config, store, book, offline=offline, clock=SystemClock(), replayed=replayed)
