"""Unpinned requests: tunnels and forwarded requests, each counted."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from snapproxy.upstream.pass_through import end_to_end

Site = Any
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def host() -> AsyncIterator[Callable[[Serve], Awaitable[int]]]:
    """Start hosts with the given behaviour; return their ports."""
    servers: list[asyncio.Server] = []

    async def start(serve: Serve) -> int:
        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except ConnectionError:
                return
            finally:
                writer.close()

        server = await asyncio.start_server(guarded, "127.0.0.1", 0)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def until_counted(site: Site) -> list[tuple[str, int, int]]:
    async with asyncio.timeout(5):
        while not site.traffic.counted:
            await asyncio.sleep(0.01)
    counted: list[tuple[str, int, int]] = site.traffic.counted
    return counted


class TestTunnel:
    async def test_a_refused_connect_closes_so_that_nothing_meant_for_the_tunnel_is_parsed(self, site: Site) -> None:
        client = await site.connect()
        await client.send(
            f"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nGET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\n"
        )
        answer = await client.answer()
        assert (answer.status, answer.reason, answer["Connection"]) == (403, "CONNECT is refused", "close")
        assert answer.body == b"CONNECT is refused\nIt would escape the pin.\nUse http.\n"
        assert await client.is_closed()
        assert not site.archive.asked

    async def test_bytes_go_both_ways_and_those_sent_too_early_are_kept(self, site: Site, host: Any) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1000):
                writer.write(data.upper())
                await writer.drain()

        target = f"127.0.0.1:{await host(echo)}"
        site.addresses.tunnels.add(target)
        client = await site.connect()
        await client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\nearly")
        assert (await client.reader.readuntil(b"\r\n\r\n")) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert await client.reader.readexactly(5) == b"EARLY"
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await client.reader.readexactly(18) == b"GET / HTTP/1.1\r\n\r\n"
        client.writer.write_eof()
        assert await client.reader.read() == b""
        assert await until_counted(site) == [("127.0.0.1", 23, 23)]
        assert not site.archive.asked

    async def test_a_client_that_ends_its_half_still_gets_the_answer(self, site: Site, host: Any) -> None:
        async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.read()
            await asyncio.sleep(0.05)
            writer.write(data * 2)

        target = f"127.0.0.1:{await host(answer_at_the_end)}"
        site.addresses.tunnels.add(target)
        client = await site.connect()
        await client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        await client.send(b"x" * 300_000)
        client.writer.write_eof()
        assert await client.reader.read() == b"x" * 600_000
        assert await until_counted(site) == [("127.0.0.1", 300_000, 600_000)]

    async def test_a_host_that_ends_its_half_still_gets_what_the_client_sends(self, site: Site, host: Any) -> None:
        got: list[bytes] = []

        async def greet_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.write_eof()
            got.append(await reader.read())

        target = f"127.0.0.1:{await host(greet_and_listen)}"
        site.addresses.tunnels.add(target)
        client = await site.connect()
        await client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.read() == b"hello"
        await client.send(b"bye")
        client.writer.write_eof()
        await until_counted(site)
        assert got == [b"bye"]

    async def test_a_client_that_leaves_ends_the_tunnel(self, site: Site, host: Any) -> None:
        ended = asyncio.Event()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            finally:
                ended.set()

        target = f"127.0.0.1:{await host(listen)}"
        site.addresses.tunnels.add(target)
        client = await site.connect()
        await client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        client.close()
        await asyncio.wait_for(ended.wait(), 5)
        assert await until_counted(site) == [("127.0.0.1", 0, 0)]

    async def test_a_flood_in_either_direction_does_not_pile_up(self, site: Site, host: Any) -> None:
        sent = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            while True:
                writer.write(bytes(65536))
                sent += 65536
                await writer.drain()

        target = f"127.0.0.1:{await host(flood)}"
        site.addresses.tunnels.add(target)
        client = await site.connect()
        client.writer.transport.pause_reading()
        await client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        await asyncio.sleep(0.5)
        before = sent
        await asyncio.sleep(0.2)
        assert sent == before
        assert sent < 32 << 20  # socket buffers of two connections, and little else

    async def test_silence_ends_a_tunnel(self, site: Site, host: Any) -> None:
        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        target = f"127.0.0.1:{await host(listen)}"
        site.addresses.tunnels.add(target)
        site.server._gateway._tunnels._idle_s = 0.3
        client = await site.connect()
        await client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        await client.send(b"x")
        await asyncio.sleep(0.2)
        assert not site.traffic.counted
        assert await client.is_closed()
        assert await until_counted(site) == [("127.0.0.1", 1, 0)]

    async def test_a_host_that_cannot_be_reached_is_said(self, site: Site) -> None:
        target = f"127.0.0.1:{closed_port()}"
        site.addresses.tunnels.add(target)
        client = await site.connect()
        await client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer["Connection"]) == (502, "close")

    async def test_tunnels_are_bounded(self, site: Site) -> None:
        site.server._gateway._tunnels._most = 0
        site.addresses.tunnels.add("127.0.0.1:1")
        client = await site.connect()
        await client.send("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.answer()).status == 503


class TestPass:
    async def test_a_request_is_forwarded_without_its_hop_headers_and_counted(self, site: Site, host: Any) -> None:
        heads: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(
                b"HTTP/1.1 203 Whatever\r\nContent-Length: 5\r\nX-A: 1\r\nConnection: X-B, close\r\nX-B: 2\r\n"
                b"Content-Encoding: gzip\r\nSet-Cookie: a=b\r\n\r\n\x1f\x8bxyz"
            )

        port = site.addresses.passes["127.0.0.1"] = await host(serve)
        client = await site.connect()
        answer = await client.get(
            f"http://127.0.0.1:{port}/a%2fb/~x+y?q=%41",
            "Proxy-Authorization: Basic czNjcmV0",
            "Proxy-Connection: keep-alive",
            "Connection: X-Mine",
            "X-Mine: 1",
            "TE: trailers",
            "User-Agent: pip",
            "Authorization: Bearer 1",
            "Accept-Encoding: gzip",
        )
        assert (answer.status, answer.reason, answer.body) == (203, "Non-Authoritative Information", b"\x1f\x8bxyz")
        assert answer["X-Snapproxy-Verified"] == "none"
        assert (answer["X-A"], answer.get("X-B"), answer["Connection"]) == ("1", "", "keep-alive")
        first, *fields = heads[0].decode().removesuffix("\r\n\r\n").split("\r\n")
        assert first == "GET /a%2fb/~x+y?q=%41 HTTP/1.1"
        assert sorted(fields) == [
            "Accept-Encoding: gzip",
            "Authorization: Bearer 1",
            "Connection: close",
            f"Host: 127.0.0.1:{port}",
            "User-Agent: pip",
            "Via: 1.1 snapproxy-test",
        ]
        assert site.traffic.counted == [("127.0.0.1", 0, 5)]

    async def test_a_token_for_this_proxy_is_not_forwarded(self, site: Site, host: Any) -> None:
        heads: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        port = site.addresses.passes["127.0.0.1"] = await host(serve)
        client = await site.connect()
        basic = base64.b64encode(b"x:snp-secret").decode()
        for value in ("Bearer snp-secret", f"Basic {basic}"):
            answer = await client.get(f"http://127.0.0.1:{port}/", f"Authorization: {value}")
            assert answer.status == 200
        assert len(heads) == 2
        assert not any(b"authorization" in head.lower() for head in heads)

    @pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
    async def test_a_body_streams_out_while_it_comes_in(self, site: Site, host: Any, framing: str) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            assert framing.partition(":")[0].encode() in head
            assert b"Expect" not in head
            got = b""
            while b"world" not in got:
                got += await reader.read(100)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n")

        port = site.addresses.passes["127.0.0.1"] = await host(serve)
        client = await site.connect()
        await client.send(
            f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"
        )
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for part in (b"hello", b"world"):
            await client.send(b"5\r\n" + part + b"\r\n" if "chunked" in framing else part)
            await asyncio.sleep(0.02)
        if "chunked" in framing:
            await client.send(b"0\r\n\r\n")
        answer = await client.answer()
        assert (answer["Transfer-Encoding"], answer.body, answer.is_whole) == ("chunked", b"done", True)
        assert await until_counted(site) == [("127.0.0.1", 10, 4)]
        assert (await client.get("/healthz")).status == 200

    @pytest.mark.parametrize(
        "framing", [b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    )
    async def test_an_answer_that_breaks_off_is_cut(self, site: Site, host: Any, framing: bytes) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n" + framing)

        port = site.addresses.passes["127.0.0.1"] = await host(serve)
        client = await site.connect()
        answer = await client.get(f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.is_whole) == (200, False)

    async def test_redirects_go_back_to_the_client(self, site: Site, host: Any) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 301 x\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n")

        port = site.addresses.passes["127.0.0.1"] = await host(serve)
        client = await site.connect()
        answer = await client.get(f"http://127.0.0.1:{port}/")
        assert (answer.status, answer["Location"]) == (301, "http://elsewhere/")

    async def test_a_head_and_an_empty_answer_have_no_body(self, site: Site, host: Any) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            rest = b"200 OK\r\nContent-Length: 7" if head.startswith(b"HEAD") else b"204 No"
            writer.write(b"HTTP/1.1 " + rest + b"\r\n\r\n")

        port = site.addresses.passes["127.0.0.1"] = await host(serve)
        client = await site.connect()
        assert (await client.get(f"http://127.0.0.1:{port}/", method="HEAD"))["Content-Length"] == "7"
        answer = await client.get(f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.get("Content-Length"), answer.get("Transfer-Encoding")) == (204, "", "")

    async def test_a_host_that_is_not_there_is_a_502_and_counted(self, site: Site) -> None:
        site.addresses.passes["127.0.0.1"] = closed_port()
        client = await site.connect()
        assert (await client.get("http://127.0.0.1:1/")).status == 502
        assert site.traffic.counted == [("127.0.0.1", 0, 0)]

    async def test_a_client_that_leaves_ends_the_request(self, site: Site, host: Any) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            await reader.read()
            await reader.read()

        port = site.addresses.passes["127.0.0.1"] = await host(serve)
        client = await site.connect()
        await client.send(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.head()
        client.reset()
        assert await until_counted(site) == [("127.0.0.1", 0, 5)]

    async def test_unknown_hosts_are_refused(self, site: Site) -> None:
        client = await site.connect()
        answer = await client.get("http://elsewhere/")
        assert (answer.status, answer.reason) == (403, "Unknown host")


def test_headers_of_one_hop_are_dropped() -> None:
    headers = [
        ("A", "1"),
        ("proxy-authorization", "x"),
        ("Connection", "a-b, C"),
        ("A-B", "2"),
        ("c", "3"),
        ("Upgrade", "x"),
        ("D", "4"),
    ]
    assert end_to_end(headers) == [("A", "1"), ("D", "4")]
