"""A server whose configuration can be replaced while it runs, without closing a connection.

Each configuration is an application of its own over the one store of the process, as if another process had started
with it: the rules for several processes on one store (one download for all readers, one rate limit for each upstream,
one order of the notes of a capture) hold between them. Requests that arrive after a replacement go to the new
application. Those that have arrived end in the former one, which is closed after them.

A part that outlives an application (an access list that is checked when a client connects, a certificate, the log
level) takes part in a replacement as a `Reloadable`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from socket import socket
from typing import Any, Protocol

from snapproxy.access.networks import ClientNetworks
from snapproxy.access.scopes import RequestNeed
from snapproxy.base.clock import Clock, SystemClock
from snapproxy.capture.replay import Replayed
from snapproxy.config import Config
from snapproxy.core.exchange import PageAnswerer
from snapproxy.core.model import Refusal
from snapproxy.errors import ConfigurationError
from snapproxy.upstream.pass_through import PassThrough
from snapproxy.web.admin import AdminServer
from snapproxy.web.certificate import TlsListener
from snapproxy.web.gateway import Gateway
from snapproxy.web.proxy_server import ProxyServer, serving
from snapproxy.web.replies import STRANGER
from snapproxy.wiring.addresses import address_book
from snapproxy.wiring.admin import AdminPages
from snapproxy.wiring.application import App, Process, assemble
from snapproxy.wiring.logs import ConfiguredAccessLog
from snapproxy.wiring.monitors import Monitors
from snapproxy.wiring.upstream import new_forwarder, upstream_proxy
from snapproxy_storage import Store, open_store

FORMER_SECONDS = 3600.0
"""How long the requests of a former configuration may continue; then its downloads are stopped, and kept for a resume.
"""

MAX_FORMER = 16
"""Maximum number of former configurations whose requests continue; each has its own upstream connections."""

FIXED = ("admin_listen", "tls_listen", "state_dir", "cache_dir")
"""Settings that are used once, when the process starts. `listen` is another one, unless systemd passes the sockets."""

METRICS_PAGE = "snapproxy.monitoring.metrics_page"
"""The module of /metrics, imported by the server alone: prometheus-client takes as long as the rest of a command."""

SERVICE_PAGES = "snapproxy.wiring.pages"
"""The module of the other pages, imported by the server alone too: Jinja2."""

_log = logging.getLogger(__name__)

_THIS_MACHINE = ClientNetworks(("loopback",))


class Reloadable(Protocol):
    """A part that is built once for the process, and obeys settings that may change."""

    def prepare(self, config: Config) -> Callable[[], None]:
        """Check the new settings, in a thread, and return a function that applies them and cannot fail.

        Change nothing before that function is called: another part may refuse. Raises ConfigurationError.
        """


@dataclass(frozen=True, slots=True)
class _Generation:
    """The application of one configuration, and what closes it."""

    app: App
    closing: AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Running:
    """The server while it listens, its repeated work, and the group of that work."""

    server: ProxyServer
    forwarder: PassThrough
    group: asyncio.TaskGroup
    work: asyncio.Task[None]


class Service:
    """The server of one process. `monitors` measure it.

    `fixed`: the settings that only a restart applies. `parts` take part in each replacement.
    """

    def __init__(
        self,
        first: _Generation,
        process: Process,
        access_log: ConfiguredAccessLog,
        *,
        fixed: Sequence[str] = FIXED,
        parts: Sequence[Reloadable] = (),
    ) -> None:
        self._log = access_log.log
        self._current = first
        self._process = process
        self._fixed = fixed
        self._parts = (access_log, *parts)
        self._former: set[asyncio.Task[None]] = set()
        self._running: _Running | None = None
        self._listens = asyncio.Event()
        self.monitors = Monitors(lambda: self.app)

    @property
    def app(self) -> App:
        """The application of the current configuration."""
        return self._current.app

    async def close(self) -> None:
        """Close the application."""
        await self._current.closing.aclose()

    async def serve(
        self, sockets: Sequence[socket], admin: Sequence[socket] = (), tls: TlsListener | None = None
    ) -> None:
        """Answer on `sockets` and `tls`, and requests for pages on `admin`, until cancelled. Close all at the end.

        Then running answers have the seconds of the setting `drain` to end.
        """
        instance, stats = self._process.instance, self._process.stats
        forwarder = new_forwarder(self.app.config, stats, instance=instance)
        proxy = ProxyServer(
            sockets,
            self.app.site(),
            forwarder=forwarder,
            traffic=stats,
            instance=instance,
            now=self.app.clock.now,
            note_served=self.app.store.served.note,
            log=self._log,
            tls=tls,
        )
        listening = serving(proxy, lambda: self.app.config.drain)
        pages = AdminServer(
            AdminPages(lambda: self, self._page_parts() if admin else {}),
            refuse=self.refuse_operator,
            instance=instance,
            now=self.app.clock.now,
            log=self._log,
        )
        writing = asyncio.create_task(self._log.run())
        try:
            async with listening as server, asyncio.TaskGroup() as group:
                await pages.start(admin)
                self._running = _Running(server, forwarder, group, group.create_task(self.app.repeat_work()))
                self._listens.set()
                group.create_task(self.monitors.run(server))
        finally:
            await pages.close()
            writing.cancel()  # not before: answers that end while the server drains are logged as they end
            await self._log.close()
            for task in self._former:
                task.cancel()
            await asyncio.gather(*self._former, return_exceptions=True)
            await forwarder.close()

    def _page_parts(self) -> dict[str, PageAnswerer]:
        """Return what answers the addresses of the admin listener, by their first segment."""
        page = importlib.import_module(METRICS_PAGE).MetricsPage
        site = importlib.import_module(SERVICE_PAGES).ServicePages
        return {
            "metrics": page(self.app.store.counters, self.monitors.readings),
            "": site(lambda: self.app, self.monitors.samples.last_day),
        }

    async def reload(self, config: Config) -> Sequence[str]:
        """Replace the configuration, once `serve` listens. Return the changed settings that only a restart applies.

        Raises ConfigurationError or StorageFailure, and then nothing has changed.
        """
        await self._listens.wait()
        if len(self._former) >= MAX_FORMER:
            raise ConfigurationError(
                "Too many earlier configurations are still in use",
                why=f"Requests that began under {len(self._former)} of them have not ended.",
                hint="Wait until these transfers have ended, or restart the server.",
            )
        former = self._current
        fixed: dict[str, Any] = {name: getattr(former.app.config, name) for name in self._fixed}
        changed = [name for name in self._fixed if getattr(config, name) != fixed[name]]
        applying = [await asyncio.to_thread(part.prepare, config) for part in self._parts]
        app = former.app
        self._current = await _generation(
            replace(config, **fixed), app.store, self._process, app.clock, offline=app.offline
        )
        for apply in applying:
            apply()
        gateway = self._switch()
        task = asyncio.create_task(_end(former, gateway))
        self._former.add(task)
        task.add_done_callback(self._former.discard)
        return changed

    def refuse_operator(self, address: str, authorization: str) -> Refusal | None:
        """Return a refusal of a client that may not read the pages under the current settings.

        Clients of this machine need no token.
        """
        if _THIS_MACHINE.admits(address):
            return None
        if not ClientNetworks(self.app.config.clients).admits(address):
            return STRANGER
        return self.app.gate().decide(authorization, "", RequestNeed(is_admin=True), is_proxied=False).refusal

    def _switch(self) -> Gateway:
        """Direct requests and repeated work to the current application; return the gateway of the former one."""
        running = self._running
        if running is None:
            raise RuntimeError("the service does not listen")
        self._running = replace(running, work=running.group.create_task(self.app.repeat_work()))
        running.work.cancel()
        running.forwarder.proxy = upstream_proxy(self.app.config)
        return running.server.switch(self.app.site())

    def status(self) -> str:
        """Return one line with figures, for systemd and the log."""
        stats = self._process.stats
        server = None if self._running is None else self._running.server
        stopping = "stopping: " if server is not None and server.is_closing else ""
        return (
            f"{stopping}{0 if server is None else server.connections} clients connected; {stats.answers.total()} files "
            f"answered, {stats.answers['HIT']} of them stored before, {stats.bytes_sent} bytes sent; "
            f"{stats.refusals.total()} requests refused"
        )

    def stats(self) -> Mapping[str, Any]:
        """Return the statistics of this process, ready for JSON."""
        return self._process.stats.as_json()

    async def ready(self) -> str:
        """Return why the server takes no further requests or cannot store downloads, '' if neither."""
        if self._running is None or self._running.server.is_closing:
            return "draining: the server stops"
        return await self.app.ready()

    async def health(self) -> str:
        """Return the store's error, '' if it works."""
        return await self.app.health()


async def _generation(
    config: Config,
    store: Store,
    process: Process,
    clock: Clock,
    *,
    offline: bool,
    pinned: str = "",
    replayed: Replayed | None = None,
) -> _Generation:
    """Build the application of a configuration. Raises ConfigurationError or StorageFailure."""
    async with AsyncExitStack() as closing:
        application = assemble(
            config,
            store,
            address_book(config, pinned=pinned),
            offline=offline,
            clock=clock,
            replayed=replayed,
            process=process,
        )
        app = await closing.enter_async_context(application)
        return _Generation(app, closing.pop_all())


async def _end(former: _Generation, gateway: Gateway) -> None:
    """Close the application of a former configuration after its requests and downloads."""
    try:
        async with former.app.clock.timeout(FORMER_SECONDS):
            await gateway.ended()
            await former.app.downloads.ended()
    except TimeoutError:
        _log.warning(
            "Requests under an earlier configuration continue after %g s; their downloads are stopped", FORMER_SECONDS
        )
    finally:
        await former.closing.aclose()


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    offline: bool,
    pinned: str = "",
    replayed: Replayed | None = None,
    listens_as_configured: bool = True,
    parts: Sequence[Reloadable] = (),
) -> AsyncIterator[Service]:
    """Open the store and build the service. Raises StorageFailure if the store cannot be opened.

    `listens_as_configured`: the setting `listen` has chosen the sockets. `pinned` and `replayed` as for
    `application.build`; a service with a record to answer from is not reloaded.
    """
    async with open_store(
        config.state_dir, config.cache_dir, quota=config.quota, free_space=config.free_space
    ) as store:
        process = Process.new(store)
        first = await _generation(
            config, store, process, SystemClock(), offline=offline, pinned=pinned, replayed=replayed
        )
        fixed = (*FIXED, "listen") if listens_as_configured else FIXED
        service = Service(first, process, ConfiguredAccessLog(config), fixed=fixed, parts=parts)
        try:
            yield service
        finally:
            await service.close()
