"""Ten requests in one segment: downloads for queued requests start early, answers keep their order."""

from __future__ import annotations

import asyncio
from typing import Any

from snapproxy.web.protocol import ClientRequest, Ending, Limits, Listener
from tests.fakes.rawclient import RawClient, request

Site = Any


async def test_ten_in_one_segment_are_begun_at_once_and_answered_in_order(site: Site) -> None:
    for index in range(10):
        site.archive.add(f"f{index}", b"%d" % index * (1 + 100_000 * (index % 2)))
    slow = site.archive.held["f0"] = asyncio.Event()
    client = await site.connect()
    await client.send("".join(request(site.url(f"f{index}")) for index in range(10)))
    await asyncio.sleep(0.1)
    assert site.archive.prefetched == [f"f{index}" for index in range(1, 10)]
    assert [path for path, _ in site.archive.asked] == ["f0"]
    slow.set()
    for index in range(10):
        assert (await client.answer()).body == b"%d" % index * (1 + 100_000 * (index % 2))
    assert len(site.archive.prefetched) == 9


async def test_apt_sends_one_and_then_nine_more_while_it_waits(site: Site) -> None:
    slow = site.archive.held["f0"] = asyncio.Event()
    client = await site.connect()
    await client.send(request(site.url("f0")))
    await asyncio.sleep(0.05)
    for index in range(1, 10):
        await client.send(request(site.url(f"f{index}")))
        await asyncio.sleep(0.01)
    assert site.archive.prefetched == [f"f{index}" for index in range(1, 10)]
    slow.set()
    assert [(await client.answer()).status for _ in range(10)] == [404] * 10


async def test_a_request_that_need_not_wait_is_not_begun_twice(site: Site) -> None:
    client = await site.connect()
    for _ in range(3):
        await client.get(site.url("x"))
    assert site.archive.prefetched == []


async def test_a_client_that_asks_again_at_once_has_nothing_begun_twice() -> None:
    """Its next request may arrive before aiohttp has removed the answered one."""

    class Answering:
        def __init__(self) -> None:
            self.prepared: list[str] = []
            self.left = [b"GET /b HTTP/1.1\r\nHost: t\r\n\r\n", b"GET /c HTTP/1.1\r\nHost: t\r\n\r\n"]

        async def handle(self, request: ClientRequest) -> Ending:
            assert request.connection.transport is not None
            request.connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            if self.left:
                asyncio.get_running_loop().call_soon(request.connection.data_received, self.left.pop(0))
            return Ending(request.connection, keep_alive=True)

        def prepare(self, request: ClientRequest, *, runs_next: bool) -> bool:
            self.prepared.append(request.target)
            return not runs_next

        def malformed(self, peer: str, error: Exception) -> bytes:
            return b""

    handler = Answering()
    listener = Listener(handler, Limits())
    server = await asyncio.get_running_loop().create_server(listener, "127.0.0.1", 0)
    client = await RawClient.connect(server.sockets[0].getsockname()[1])
    try:
        await client.send(request("/a"))
        for _ in range(3):
            assert (await client.answer()).status == 200
    finally:
        client.close()
        await listener.emptied()
        server.close()
    assert handler.prepared == []


async def test_a_hundred_in_one_segment_are_all_answered_from_a_bounded_queue(site: Site) -> None:
    for index in range(100):
        site.archive.add(f"f{index}", b"%d" % index)
    client = await site.connect()
    await client.send("".join(request(site.url(f"f{index}")) for index in range(100)))
    for index in range(100):
        assert (await client.answer()).body == b"%d" % index
    assert len(site.archive.prefetched) == len(set(site.archive.prefetched)) >= 90


async def test_only_plain_gets_of_files_are_begun_early(site: Site) -> None:
    slow = site.archive.held["f0"] = asyncio.Event()
    client = await site.connect()
    await client.send(
        request(site.url("f0"))
        + request(site.url("f1"), method="HEAD")
        + request("/healthz")
        + request("/bad")
        + request("/mr/x")
    )
    await asyncio.sleep(0.05)
    assert site.archive.prefetched == ["/mr/x"]
    slow.set()


async def test_rubbish_ends_a_pipeline_and_what_follows_it_is_not_answered(site: Site) -> None:
    site.archive.add("x", b"hello")
    slow = site.archive.held["x"] = asyncio.Event()
    client = await site.connect()
    await client.send(request(site.url("x")))
    await asyncio.sleep(0.05)
    await client.send("GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n" + request(site.url("y")))
    await asyncio.sleep(0.05)
    slow.set()
    assert (await client.answer()).body == b"hello"
    assert (await client.answer()).status == 400
    assert await client.is_closed()
    assert (len(site.archive.asked), site.archive.prefetched) == (1, [])


async def test_after_the_last_answer_nothing_more_is_begun_or_answered(site: Site) -> None:
    slow = site.archive.held["a"] = asyncio.Event()
    client = await site.connect()
    await client.send(
        request(site.url("a")) + request(site.url("b"), "Via: 1.1 snapproxy-test") + request(site.url("c"))
    )
    await asyncio.sleep(0.05)
    slow.set()
    assert [(await client.answer()).status for _ in range(2)] == [404, 508]
    assert await client.is_closed()
    assert (len(site.archive.asked), site.archive.prefetched) == (1, [])
