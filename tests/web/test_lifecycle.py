"""Starting, listening, stopping, and the private parts of aiohttp in use."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import http_parser, web, web_protocol

from snapproxy.web import protocol
from tests.fakes.answerer import FakeArchive, FakeHolding
from tests.fakes.house import until

Site = Any

WEB = Path(protocol.__file__).parent


class TestAiohttp:
    def test_the_private_attributes_that_protocol_uses_exist(self) -> None:
        handler = web_protocol.RequestHandler
        slots = {slot for base in handler.__mro__ for slot in getattr(base, "__slots__", ())}
        assert {
            "_messages",
            "_request_count",
            "_paused",
            "_loop",
            "_task_handler",
            "_request_in_progress",
        } <= slots
        assert callable(handler._drain_helper)
        assert callable(handler.set_parser)
        assert callable(handler.force_close)
        assert aiohttp.__version__.startswith("3.14.")

    async def test_the_server_keeps_its_loop_where_protocol_looks_for_it(self) -> None:
        server = web.Server(lambda request: None)  # type: ignore[arg-type, return-value]
        assert server._loop is asyncio.get_running_loop()

    def test_no_other_module_looks_inside(self) -> None:
        inside = re.compile(
            r"aiohttp\.web_protocol|aiohttp import web\b|SLF001|\b(connection|request|transport)\._[a-z]"
        )
        assert [path.name for path in WEB.glob("*.py") if inside.search(path.read_text(encoding="utf-8"))] == [
            "protocol.py"
        ]

    def test_the_c_parser_is_in_use(self) -> None:
        assert http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy

    def test_without_the_c_parser_the_server_says_so_and_does_not_start(self) -> None:
        program = (
            "import asyncio\n"
            "from snapproxy.web.protocol import Limits, Listener\n"
            "class Nobody:\n"
            "    handle = None\n"
            "async def main(): Listener(Nobody(), Limits())\n"
            "asyncio.run(main())\n"
        )
        environment = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "aiohttp was installed without its C parser" in done.stderr


class TestListening:
    async def test_several_addresses_are_served(self, site: Site) -> None:
        more = [socket.create_server((host, 0)) for host in ("127.0.0.2", "127.0.0.3")]
        await site.server.start(more)
        hosts = {host for host, _ in site.server.addresses}
        assert hosts == {"127.0.0.1", "127.0.0.2", "127.0.0.3"}
        for host, port in site.server.addresses:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
            assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
            writer.transport.abort()


class TestStopping:
    async def test_connections_at_rest_close_at_once_and_no_new_ones_are_taken(self, site: Site) -> None:
        client = await site.connect()
        await client.get("/healthz")
        port = site.port
        await asyncio.wait_for(site.server.close(5), 1)
        assert await client.is_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    async def test_an_answer_under_way_may_end(self, site: Site) -> None:
        site.archive.add("x", b"hello" * 100_000)
        slow = site.archive.held["x"] = asyncio.Event()
        client = await site.connect()
        context = asyncio.ensure_future(client.get(site.url("x")))
        await asyncio.sleep(0.05)
        closing = asyncio.ensure_future(site.server.close(5))
        await asyncio.sleep(0.05)
        assert not closing.done()
        slow.set()
        assert (await context).body == b"hello" * 100_000
        await asyncio.wait_for(closing, 1)
        assert await client.is_closed()

    async def test_after_the_grace_an_answer_is_cut(self, site: Site) -> None:
        source = site.archive.add("x", b"hello" * 10_000_000)
        client = await site.connect()
        await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\n")
        await client.head()
        await asyncio.wait_for(site.server.close(0.2), 2)
        assert source.readers == 0
        assert len(await client.reader.read()) < 50_000_000
        assert site.lines[-1].endswith(" left")

    async def test_an_answer_begun_while_stopping_says_that_the_connection_closes(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("snapproxy.web.server._LAST_READ_S", 0)
        slow = site.archive.held["x"] = asyncio.Event()
        client = await site.connect()
        await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        await asyncio.sleep(0.05)
        closing = asyncio.ensure_future(site.server.close(5))
        await asyncio.sleep(0.05)
        slow.set()
        assert (await client.answer()).status == 404
        assert await client.is_closed()
        await closing

    async def test_a_new_client_may_still_send_its_first_request(self, site: Site) -> None:
        """Its client would report an error: it sends again only what it sent on a connection that was used before."""
        client = await site.connect()
        await until(lambda: site.server.connections)
        closing = asyncio.ensure_future(site.server.close(5))
        await until(lambda: site.server.is_closing)
        answer = await client.get("/healthz")
        assert (answer.status, answer["connection"]) == (200, "close")
        assert await client.is_closed()
        await asyncio.wait_for(closing, 1)

    async def test_a_request_that_has_arrived_is_answered(self, site: Site) -> None:
        client = await site.connect()
        await client.get("/healthz")
        await client.send("GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        closing = asyncio.ensure_future(site.server.close(5))
        answer = await client.answer()
        assert (answer.status, answer["connection"]) == (200, "close")
        await closing

    async def test_a_new_client_that_sends_nothing_does_not_delay_the_end(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("snapproxy.web.server._FIRST_REQUEST_S", 0.1)
        client = await site.connect()
        await until(lambda: site.server.connections)
        await asyncio.wait_for(site.server.close(60), 5)
        assert await client.is_closed()


class TestSwitching:
    """Another archive replaces the first one while the server runs."""

    async def test_the_next_request_on_an_open_connection_goes_to_the_new_archive(self, site: Site) -> None:
        client = await site.connect()
        assert (await client.get(site.url("x"))).status == 404
        archive = FakeArchive()
        archive.add("x", b"new")
        former = site.server.switch(
            archive,
            site.addresses,
            pages=site.pages,
            by_digest=FakeHolding(archive),
            admits=site.admits,
            gate=site.gate,
        )
        assert (await client.get(site.url("x"))).body == b"new"
        await asyncio.wait_for(former.ended(), 1)
        archive.close()

    async def test_a_running_answer_ends_in_the_former_archive(self, site: Site) -> None:
        site.archive.add("x", b"old" * 100_000)
        slow = site.archive.held["x"] = asyncio.Event()
        client = await site.connect()
        running = asyncio.ensure_future(client.get(site.url("x")))
        await until(lambda: site.archive.asked)
        former = site.server.switch(
            FakeArchive(),
            site.addresses,
            pages=site.pages,
            by_digest=FakeHolding(site.archive),
            admits=site.admits,
            gate=site.gate,
        )
        ended = asyncio.ensure_future(former.ended())
        await asyncio.sleep(0)
        assert not ended.done()
        slow.set()
        assert (await running).body == b"old" * 100_000
        await asyncio.wait_for(ended, 1)
        assert (await client.get(site.url("x"))).status == 404

    async def test_a_server_that_stops_closes_its_connections_after_a_switch_too(self, site: Site) -> None:
        slow = site.archive.held["x"] = asyncio.Event()
        client = await site.connect()
        running = asyncio.ensure_future(client.get(site.url("x")))
        await until(lambda: site.archive.asked)
        closing = asyncio.ensure_future(site.server.close(5))
        await until(lambda: site.server.is_closing)
        site.server.switch(
            FakeArchive(),
            site.addresses,
            pages=site.pages,
            by_digest=FakeHolding(site.archive),
            admits=site.admits,
            gate=site.gate,
        )
        assert site.server.is_closing
        slow.set()
        await running
        await closing
