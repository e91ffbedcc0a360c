"""What observes a running server: its heartbeat, the samples of the last day, and what /metrics measures."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import Protocol

from snapproxy.base.metrics import CONNECTIONS, DOWNLOADS, IN_FLIGHT, upstream_hosts
from snapproxy.base.protected_space import protected_bytes
from snapproxy.monitoring.heartbeat import Heartbeat
from snapproxy.monitoring.measured import Readings
from snapproxy.monitoring.samples import DaySamples
from snapproxy.wiring.application import App


class ServerFigures(Protocol):
    """The figures of the server of this process."""

    @property
    def connections(self) -> int: ...

    @property
    def in_flight(self) -> int: ...


class Monitors:
    """The monitors of one process. `app` returns the application of the current configuration."""

    def __init__(self, app: Callable[[], App]) -> None:
        self._app = app
        store, self._clock = app().store, app().clock
        self._counters = store.counters
        self._journals = store.journals
        self._started = self._clock.time()
        self.samples = DaySamples(store.catalog, store.slots, store.counters, self._clock)

    async def run(self, server: ServerFigures) -> None:
        """Publish the gauges of the process and take samples, until cancelled."""
        heartbeat = Heartbeat(
            self._counters,
            self._clock,
            {
                CONNECTIONS: lambda: server.connections,
                IN_FLIGHT: lambda: server.in_flight,
                DOWNLOADS: lambda: self._app().downloads.running,
            },
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat.run())
            group.create_task(self.samples.run())

    async def readings(self) -> Readings:
        """Measure the state of the service for /metrics."""
        app = self._app()
        space = app.store.space
        disk = await asyncio.to_thread(shutil.disk_usage, app.config.state_dir)
        return Readings(
            is_writable=not await app.ready(),
            disk_free=disk.free,
            disk_size=disk.total,
            open_captures=await self._journals.count(),
            started=self._started,
            stored=space.stored + space.kept if space.is_counted else None,
            reserved=space.reserved,
            quota=space.limit,
            protected=protected_bytes(app.store) if space.limit is not None else None,
            cool_downs=await self._cool_downs(app),
            observed=_observed(app),
        )

    async def _cool_downs(self, app: App) -> dict[str, float]:
        """Return the ends of the cool-downs, by upstream that was requested."""
        hosts = upstream_hosts(await asyncio.to_thread(self._counters.totals))
        cooling = {host: app.limiter.cool_down(host) for host in hosts}
        now = self._clock.time()
        return {host: now + each.wait for host, each in cooling.items() if each is not None}


def _observed(app: App) -> dict[str, float]:
    """Return the time of the last observation, by archive; the earliest of the observed roots of an archive."""
    found: dict[str, float] = {}
    for watch in app.config.watch:
        archive = app.archive(watch.archive)
        for path in watch.paths:
            last = app.observations.last(archive, path)
            if last is not None:
                found[archive.name] = min(last, found.get(archive.name, last))
    return found
