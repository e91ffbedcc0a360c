"""Build the parts that answer about times: the store, observations, timelines and the planner, without any server.

`resolve` and `timeline` answer most questions from the store. The HTTP client takes longer to import than all else that
they need, so it is imported and opened when an upstream is asked first.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from snapproxy.answer.bad_snapshots import BadSnapshots
from snapproxy.answer.planner import Planner, request_context
from snapproxy.answer.time_facts import TimeFacts
from snapproxy.answer.timelines import AskUpstream, Timelines
from snapproxy.archives import HISTORIES, find_archive
from snapproxy.base.clock import Clock, SystemClock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.config import Config
from snapproxy.core.exchange import Conditions
from snapproxy.core.model import Archive, NeedWindow, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.plan_model import PlanRequest
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from snapproxy.indexes.helper_process import HelperProcess
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.live.observations import Observations
from snapproxy_storage import Store, open_store

UPSTREAM = "snapproxy.wiring.upstream"
"""The module with the HTTP client, imported when an upstream is asked first."""


@dataclass(frozen=True, kw_only=True)
class TimesApp:
    """The parts of snapproxy that answer about times. `archives`: by name."""

    config: Config
    archives: Mapping[str, Archive]
    store: Store
    clock: Clock
    planner: Planner
    timelines: Timelines
    observations: Observations
    bad_snapshots: BadSnapshots

    def archive(self, name: str) -> Archive:
        """Return an archive by its name. Raises ClientError, which lists the known names."""
        return find_archive(self.archives, name)

    def context(self, archive: Archive) -> RequestContext:
        """Return the context of a question about an archive, with the snapshots that are marked bad at this moment."""
        marked = self.bad_snapshots.applied(archive)
        return request_context(marked, Conditions(), FAMILIES, HISTORIES, self.config.patience, self.clock)

    async def resolve(self, archive: str, time: str) -> Resolved | Refusal:
        """Return the snapshot that answers for a time.

        Raises ClientError for an unknown archive or an unreadable time.
        """
        return await self.snapshot(self.archive(archive), parse_time(time))

    async def snapshot(self, archive: Archive, when: TimeSpec) -> Resolved | Refusal:
        """Return the snapshot of an archive that answers for a time."""
        context = self.context(archive)
        return await self.planner.resolve(PlanRequest(context.archive, when, ""), context, _obtain)


async def _obtain(_context: RequestContext, _resolved: Resolved, path: str) -> None:
    raise AssertionError(f"a time was to be resolved for no file, and {path} is needed for it")


@asynccontextmanager
async def open_times(config: Config, *, offline: bool) -> AsyncIterator[TimesApp]:
    """Open the store and build the parts. Raises StorageFailure if the store cannot be opened."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store = open_store(config.state_dir, config.cache_dir, quota=config.quota, free_space=config.free_space)
        stack.push_async_callback(store.close)
        tables = IndexTables(store, HelperProcess(config.cache_dir, clock, store.counters))
        stack.push_async_callback(tables.close)
        observations = Observations(store.catalog, tables)
        upstream = _UpstreamOnDemand(await stack.enter_async_context(AsyncExitStack()), config, store, clock)
        timelines = Timelines(
            catalog=store.catalog, slots=store.slots, ask_upstream=upstream.ask, clock=clock, offline=offline
        )
        stack.push_async_callback(timelines.close)
        yield TimesApp(
            config=config,
            archives={archive.name: archive for archive in config.archives},
            store=store,
            clock=clock,
            planner=Planner(TimeFacts(timelines, observations), Names(store.catalog, clock), clock),
            timelines=timelines,
            observations=observations,
            bad_snapshots=BadSnapshots(store.catalog),
        )


class _UpstreamOnDemand:
    """The snapshot services, whose HTTP client is imported and opened by the first question. `stack` closes it."""

    def __init__(self, stack: AsyncExitStack, config: Config, store: Store, clock: Clock) -> None:
        self._stack = stack
        self._arguments = (config, store, clock)
        self._opening = asyncio.Lock()
        self._ask: AskUpstream | None = None

    async def ask(self, context: RequestContext, need: NeedWindow) -> Window | Refusal:
        """Ask the archive's snapshot service for a window."""
        return await (await self._opened())(context, need)

    async def _opened(self) -> AskUpstream:
        async with self._opening:
            if self._ask is None:
                upstream = importlib.import_module(UPSTREAM)
                opening: AbstractAsyncContextManager[AskUpstream] = upstream.open_timeline_service(*self._arguments)
                self._ask = await self._stack.enter_async_context(opening)
            return self._ask
