from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from blockbuster import blockbuster_ctx

from snapproxy.access.gate import Gate, Permission
from snapproxy.access.scopes import RequestNeed
from snapproxy.core.exchange import Served
from snapproxy.core.model import Refusal
from snapproxy.upstream.pass_through import PassThrough
from snapproxy.web.pages import Pages
from snapproxy.web.protocol import Limits
from snapproxy.web.server import WebServer
from tests.fakes.answerer import DATE, WHEN, FakeAddresses, FakeArchive, FakeHolding
from tests.fakes.rawclient import RawClient

INSTANCE = "snapproxy-test"


def pytest_asyncio_loop_factories(
    config: object, item: object
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _never_blocks() -> Iterator[None]:
    """Fail a test that blocks the loop, except by sendfile to a non-blocking socket, which is inline on purpose."""
    with blockbuster_ctx("snapproxy.web") as guard:
        guard.functions["os.sendfile"].can_block_in("snapproxy/web/bodies.py", "move_file")
        yield


class FakeTally:
    def __init__(self) -> None:
        self.counted: list[tuple[str, int, int]] = []
        self.files: list[Served] = []
        self.refusals: list[tuple[int, str]] = []
        self.bytes_sent = 0

    def served(self, served: Served) -> None:
        self.files.append(served)

    def refused(self, status: int, host: str = "", archive: str = "") -> bool:
        self.refusals.append((status, host))
        return bool(host)

    def sent(self, served: Served, count: int) -> None:
        self.bytes_sent += count

    def unpinned(self, host: str, sent: int, received: int) -> None:
        self.counted.append((host, sent, received))


class FakeGate(Gate):
    """Demands the header `Authorization: token` if it demands tokens, and records what it was asked."""

    def __init__(self) -> None:
        self.demands_tokens = False
        self.asked: list[tuple[RequestNeed, bool]] = []

    def decide(
        self, authorization: str, proxy_authorization: str, need: RequestNeed, *, is_proxied: bool
    ) -> Permission:
        self.asked.append((need, is_proxied))
        is_known = not self.demands_tokens or authorization == "token"
        return Permission("0123abcd") if is_known else Permission(refusal=Refusal(401, "a token is required"))


@dataclass
class Site:
    """A running server with its fakes. `url` returns the target of an archive's file.

    `strangers`: the addresses of clients that are not admitted. `noted`: the digests that were noted as served.
    """

    server: WebServer
    archive: FakeArchive
    addresses: FakeAddresses
    traffic: FakeTally
    log: pytest.LogCaptureFixture
    health: dict[str, str]
    strangers: set[str]
    noted: list[tuple[str, int]]
    pages: Pages
    gate: FakeGate
    clients: list[RawClient] = field(default_factory=list)

    def admits(self, address: str) -> bool:
        return address not in self.strangers

    @property
    def guards(self) -> dict[str, Any]:
        """What decides about clients, for another gateway of the server."""
        return {"admits": self.admits, "gate": self.gate}

    @property
    def port(self) -> int:
        return self.server.addresses[0][1]

    async def connect(self) -> RawClient:
        client = await RawClient.connect(self.port)
        self.clients.append(client)
        return client

    @property
    def lines(self) -> list[str]:
        """The access log so far."""
        return [record.getMessage() for record in self.log.records if record.name == "snapproxy.access"]

    @staticmethod
    def url(path: str) -> str:
        return f"/debian/{WHEN}/{path}"


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def site(limits: Limits, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Site]:
    caplog.set_level(logging.INFO)
    archive, addresses, traffic = FakeArchive(), FakeAddresses(), FakeTally()
    health = {"healthz": "", "readyz": ""}
    strangers: set[str] = set()
    gate = FakeGate()

    async def healthy() -> str:
        return health["healthz"]

    async def ready() -> str:
        return health["readyz"]

    forwarder = PassThrough(traffic, instance=INSTANCE, connect_s=5, silence_s=5)
    pages = Pages(
        snippets=lambda base: [("apt <Debian>", f"URIs: {base}/debian/{WHEN}")],
        script=lambda when, base, capture: f"# {when.text} {base} {capture}\n",
        stats=lambda: {"files": 3},
        healthy=healthy,
        ready=ready,
        address="127.0.0.1:3142",
    )
    noted: list[tuple[str, int]] = []
    server = WebServer(
        archive,
        addresses,
        pages=pages,
        by_digest=FakeHolding(archive),
        forwarder=forwarder,
        traffic=traffic,
        admits=lambda address: address not in strangers,
        gate=gate,
        instance=INSTANCE,
        now=lambda: DATE,
        note_served=lambda digest, at: noted.append((digest, at)),
        limits=limits,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(forwarder.close)
        await server.start([socket.create_server(("127.0.0.1", 0))])
        stack.push_async_callback(server.close, 0)
        running = Site(server, archive, addresses, traffic, caplog, health, strangers, noted, pages, gate)
        yield running
        for client in running.clients:
            client.close()
    archive.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR and record.name == "asyncio"]
