"""Running and failing downloads, and clients that disconnect."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tests.fakes.answerer import Source

Site = Any

PIECE = os.urandom(100_000)


def arriving(site: Site, path: str, data: bytes = b"", *, length: int | None = None, has_file: bool = True) -> Source:
    source = site.archive.files[path] = Source(data, arriving=True, length=length, has_file=has_file)
    return source


@pytest.mark.parametrize("has_file", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
async def test_bytes_are_passed_on_as_they_arrive(site: Site, has_file: bool, is_known: bool) -> None:
    source = arriving(site, "x", PIECE, length=300_000 if is_known else None, has_file=has_file)
    client = await site.connect()
    context = asyncio.ensure_future(client.get(site.url("x")))
    for _ in range(2):
        await asyncio.sleep(0.05)
        assert not context.done()
        source.feed(PIECE)
    source.end()
    answer = await context
    assert answer.is_whole
    assert answer.body == PIECE * 3
    assert answer["X-Cache"] == "JOINED"
    assert not answer.get("ETag")
    assert (answer.get("Content-Length"), answer.get("Transfer-Encoding")) == (
        ("300000", "") if is_known else ("", "chunked")
    )
    assert source.readers == 0
    assert (await client.get("/healthz")).status == 200


async def test_the_first_bytes_leave_before_the_last_have_come(site: Site) -> None:
    source = arriving(site, "x", PIECE, length=200_000)
    client = await site.connect()
    await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await client.head()).status == 200
    assert await client.reader.readexactly(len(PIECE)) == PIECE
    source.feed(PIECE)
    source.end()
    assert await client.reader.readexactly(len(PIECE)) == PIECE


async def test_the_length_may_become_known_while_bytes_arrive(site: Site) -> None:
    source = arriving(site, "x", PIECE)
    client = await site.connect()
    context = asyncio.ensure_future(client.get(site.url("x")))
    await asyncio.sleep(0.05)
    source.length = 100_005
    await asyncio.sleep(0.05)
    source.feed(b"12345")
    source.end()
    assert (await context).body == PIECE + b"12345"


@pytest.mark.parametrize("has_file", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_file_that_breaks_is_cut_and_never_ended_cleanly(
    site: Site, has_file: bool, is_known: bool, version: str
) -> None:
    source = arriving(site, "x", PIECE, length=300_000 if is_known else None, has_file=has_file)
    client = await site.connect()
    context = asyncio.ensure_future(client.get(site.url("x"), version=version))
    await asyncio.sleep(0.05)
    source.fail(RuntimeError("the digest differs"))
    answer = await context
    assert answer.status == 200
    assert not answer.is_whole
    assert len(answer.body) < 300_000
    assert await client.is_closed()
    assert source.readers == 0
    assert site.lines[-1].endswith(" cut")


async def test_a_file_shorter_than_its_length_is_cut(site: Site) -> None:
    source = arriving(site, "x", PIECE, length=300_000)
    client = await site.connect()
    context = asyncio.ensure_future(client.get(site.url("x")))
    await asyncio.sleep(0.05)
    source._ended = True
    source._tell()
    assert not (await context).is_whole


async def test_a_whole_file_that_lost_its_end_on_disk_is_cut(site: Site) -> None:
    source = site.archive.add("x", PIECE * 10)
    os.ftruncate(source.file.fileno(), 500_000)
    client = await site.connect()
    answer = await asyncio.wait_for(client.get(site.url("x")), 5)
    assert (answer.is_whole, len(answer.body)) == (False, 500_000)


async def test_http_1_0_without_a_length_ends_with_the_connection(site: Site) -> None:
    source = arriving(site, "x", PIECE)
    client = await site.connect()
    context = asyncio.ensure_future(client.get(site.url("x"), "Connection: keep-alive", version="1.0"))
    await asyncio.sleep(0.05)
    source.end()
    answer = await context
    assert (answer["Connection"], answer.is_whole, answer.body) == ("close", True, PIECE)
    assert not answer.get("Transfer-Encoding")


async def test_a_range_of_an_arriving_file_is_answered_as_soon_as_its_length_is_known(site: Site) -> None:
    source = arriving(site, "x", b"", length=200_000)
    client = await site.connect()
    await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\nRange: bytes=150000-\r\n\r\n")
    head = await asyncio.wait_for(client.head(), 1)
    assert (head.status, head["Content-Range"]) == (206, "bytes 150000-199999/200000")
    source.feed(PIECE)
    source.feed(PIECE)
    source.end()
    assert await client.reader.readexactly(50_000) == PIECE[50_000:]


async def test_a_range_is_ignored_while_the_length_is_unknown(site: Site) -> None:
    source = arriving(site, "x", b"0123456789")
    client = await site.connect()
    context = asyncio.ensure_future(client.get(site.url("x"), "Range: bytes=5-"))
    await asyncio.sleep(0.05)
    source.end()
    answer = await context
    assert (answer.status, answer.body) == (200, b"0123456789")


async def test_head_of_an_arriving_file_does_not_wait_for_it(site: Site) -> None:
    arriving(site, "x", length=10)
    arriving(site, "y")
    client = await site.connect()
    assert (await client.get(site.url("x"), method="HEAD"))["Content-Length"] == "10"
    assert not (await client.get(site.url("y"), method="HEAD")).get("Content-Length")
    assert site.archive.files["y"].readers == 0


async def test_fifty_readers_of_one_arriving_file_all_stream_along(site: Site) -> None:
    source = arriving(site, "x", PIECE, length=300_000)
    clients = [await site.connect() for _ in range(50)]
    for client in clients:
        await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\n")
    for client in clients:
        assert (await client.head()).status == 200
        assert await client.reader.readexactly(1) == PIECE[:1]
    assert source.readers == 50
    source.feed(PIECE)
    source.feed(PIECE)
    source.end()
    for client in clients:
        assert await client.reader.readexactly(299_999) == (PIECE * 3)[1:]
    await asyncio.sleep(0.05)
    assert source.readers == 0


async def test_one_reader_that_leaves_harms_no_other(site: Site) -> None:
    source = arriving(site, "x", PIECE, length=300_000)
    leaver, stayer = await site.connect(), await site.connect()
    for client in (leaver, stayer):
        await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\n")
        await client.head()
    leaver.reset()
    await asyncio.sleep(0.1)
    assert source.readers == 1
    source.feed(PIECE * 2)
    source.end()
    assert await stayer.reader.readexactly(300_000) == PIECE * 3
    await asyncio.sleep(0.05)
    assert source.readers == 0
    assert sorted(line.split()[-1] for line in site.lines) == ["done", "left"]


@pytest.mark.parametrize("has_file", [True, False])
async def test_a_client_that_leaves_in_the_middle_of_a_big_file_frees_it(site: Site, has_file: bool) -> None:
    source = site.archive.add("x", PIECE * 300)
    source.has_file = has_file
    client = await site.connect()
    await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\n")
    await client.head()
    await client.reader.readexactly(50_000)
    assert source.readers == 1
    client.close()
    async with asyncio.timeout(5):
        while source.readers or site.server.connections:
            await asyncio.sleep(0.01)
    assert site.lines[-1].endswith(" left")


async def test_a_client_that_takes_nothing_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapproxy.web.bodies.STALL_S", 0.3)
    source = site.archive.add("x", PIECE * 300)
    client = await site.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(f"GET {site.url('x')} HTTP/1.1\r\nHost: t\r\n\r\n")
    async with asyncio.timeout(5):
        while not site.lines:
            await asyncio.sleep(0.05)
    assert site.lines[-1].endswith(" stalled")
    assert source.readers == 0


async def test_big_files_leave_by_sendfile_and_are_never_copied(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    source = site.archive.add("x", PIECE * 50)
    monkeypatch.setattr("tests.fakes.answerer.SourceBody.chunks", None)
    client = await site.connect()
    assert (await client.get(site.url("x"))).body == PIECE * 50
    assert source.readers == 0


async def test_sixty_four_clients_of_big_files_cost_little_memory(site: Site) -> None:
    """Each client reads a little of 200 MB and then waits: the server must not keep the unread bytes in memory."""
    big = site.archive.add("big", b"")
    copied = site.archive.add("copied", b"")
    for source in (big, copied):
        os.ftruncate(source.file.fileno(), 200 << 20)
        source._ready = source.length = 200 << 20
        source.digest = "00" * 32
    copied.has_file = False
    before = _resident()
    for index in range(64):
        client = await site.connect()
        await client.send(f"GET {site.url('big' if index % 2 else 'copied')} HTTP/1.1\r\nHost: t\r\n\r\n")
        await client.head()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(0.3)
    assert _resident() - before < 40 << 20


def _resident() -> int:
    """Anonymous resident memory in bytes, the clients' own buffers (64 KiB each and a read) included."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["RssAnon"].split()[0]) << 10
