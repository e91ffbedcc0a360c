"""Clients that close their sending half after the request, and those that have disconnected, which look the same."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

import pytest

from snapproxy.web import protocol
from tests.fakes.rawclient import RawClient, request

Site = Any


async def half_closed(site: Site, *targets: str, version: str = "1.1") -> RawClient:
    """Send requests and close the sending half at once."""
    client = await site.connect()
    client.writer.write("".join(request(target, version=version) for target in targets).encode())
    client.writer.write_eof()
    return client


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_that_sends_no_more_is_answered(site: Site, version: str) -> None:
    site.archive.add("x", b"bytes")
    client = await half_closed(site, site.url("x"), version=version)
    assert (await client.answer()).body == b"bytes"
    assert await client.is_closed()


async def test_its_answer_may_take_time_and_be_long(site: Site) -> None:
    body = b"p" * 3_000_000
    site.archive.add("x", body)
    site.archive.held["x"] = asyncio.Event()
    client = await half_closed(site, site.url("x"))
    await asyncio.sleep(0.05)  # the end of its requests has been read by now
    site.archive.held["x"].set()
    answer = await client.answer()
    assert (answer.is_whole, answer.body) == (True, body)
    assert await client.is_closed()


async def test_all_its_pipelined_requests_are_answered(site: Site) -> None:
    for name in ("a", "b", "c"):
        site.archive.add(name, name.encode())
    client = await half_closed(site, *(site.url(name) for name in ("a", "b", "c")))
    assert [(await client.answer()).body for _ in range(3)] == [b"a", b"b", b"c"]
    assert await client.is_closed()


async def test_a_client_that_has_left_is_noticed_when_bytes_are_sent(site: Site) -> None:
    source = site.archive.add("x", b"p" * 3_000_000)
    site.archive.held["x"] = asyncio.Event()
    client = await site.connect()
    await client.send(request(site.url("x")))
    client.close()
    await asyncio.sleep(0.05)
    assert site.server.connections == 1
    site.archive.held["x"].set()
    async with asyncio.timeout(5):
        while source.readers or site.server.connections:
            await asyncio.sleep(0.01)
    assert site.lines[-1].endswith(" left")


async def test_beyond_a_number_of_them_they_are_taken_for_clients_that_have_left(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_HALF_CLOSED", 2)
    site.archive.add("x", b"bytes")
    site.archive.held["x"] = asyncio.Event()
    clients = [await half_closed(site, site.url("x")) for _ in range(5)]
    async with asyncio.timeout(5):
        while site.server.connections > 2:
            await asyncio.sleep(0.01)
    assert site.archive.cancelled == ["x"] * 3
    site.archive.held["x"].set()
    bodies = [(await client.answer()).body for client in clients[:2]]
    assert bodies == [b"bytes", b"bytes"]


async def test_a_reset_cancels_the_answer_at_once(site: Site) -> None:
    site.archive.held["x"] = asyncio.Event()
    client = await site.connect()
    await client.send(request(site.url("x")))
    await asyncio.sleep(0.05)
    client.reset()
    async with asyncio.timeout(5):
        while site.server.connections:
            await asyncio.sleep(0.01)
    assert site.archive.cancelled == ["x"]


async def test_a_body_that_ends_early_is_not_answered(site: Site) -> None:
    client = await site.connect()
    client.writer.write(b"POST http://registry.example/x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12")
    client.writer.write_eof()
    async with asyncio.timeout(5):
        while site.server.connections:
            await asyncio.sleep(0.01)


async def test_busybox_wget_is_answered(site: Site) -> None:
    busybox = shutil.which("busybox")
    assert busybox is not None, "busybox is a requirement of the tests"
    body = b"p" * 1_000_000
    site.archive.add("x", body)
    site.archive.held["x"] = asyncio.Event()
    url = f"http://127.0.0.1:{site.port}{site.url('x')}"
    wget = await asyncio.create_subprocess_exec(busybox, "wget", "-q", "-O", "-", url, stdout=asyncio.subprocess.PIPE)
    reading = asyncio.create_task(wget.communicate())
    await asyncio.sleep(0.2)  # it has closed its sending half by now
    site.archive.held["x"].set()
    got, _ = await reading
    assert (wget.returncode, got) == (0, body)
