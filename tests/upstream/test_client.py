"""The upstream client against a bare socket that misbehaves on command; each test is named for the fault."""

from __future__ import annotations

import asyncio
import socket

import pytest

from snapproxy.core.rate_limit import RatePolicy
from snapproxy.core.upstream_answer import (
    Absent,
    BodyFollows,
    Broken,
    CoolingDown,
    Fault,
    Forbidden,
    NoSuchRange,
    NotModified,
    Offer,
    StartOver,
    Throttled,
    UpstreamAnswer,
    UpstreamRequest,
)
from snapproxy.upstream.client import Timeouts
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.response import PIECE, BodyBrokenError
from tests.fakes.rude_server import RudeServer, head, reply, say, then_close, then_reset, then_stall
from tests.fakes.upstream_bench import BODY, Bench


async def test_a_file_arrives_whole_with_its_offer(bench: Bench) -> None:
    url = bench.server.on("/f", reply(200, BODY, etag='"v1"', content_type="application/x-deb"))
    async with (
        bench.upstream as upstream,
        upstream.fetch(UpstreamRequest(url, size=len(BODY)), bench.reach) as response,
    ):
        assert response.answer == BodyFollows(Offer(0, 1024, 1024, etag='"v1"', media_type="application/x-deb"))
        assert response.url == url
        assert await response.read(1024) == BODY
    assert bench.slots.held == {f"upstream 127.0.0.1:{bench.server.port}": 0}


async def test_the_request_is_plain_and_signed(bench: Bench) -> None:
    url = bench.server.on("/a%2Bb~c?x=%7e", reply(200, BODY))
    async with (
        bench.upstream as upstream,
        upstream.fetch(
            UpstreamRequest(url, etag='"v1"', since="Sat, 01 Jun 2024 00:00:00 GMT"), bench.reach, via="1.1 other"
        ) as _,
    ):
        pass
    seen = bench.server.seen[0]
    assert (seen.method, seen.target) == ("GET", "/a%2Bb~c?x=%7e")
    assert seen.headers == {
        "host": f"127.0.0.1:{bench.server.port}",
        "user-agent": "snapproxy/0.1.0 (+ops@example.org)",
        "accept": "*/*",
        "accept-encoding": "identity",
        "via": "1.1 other, 1.1 test",
        "if-none-match": '"v1"',
        "if-modified-since": "Sat, 01 Jun 2024 00:00:00 GMT",
    }


async def test_the_environments_proxy_and_cookies_are_not_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    url = bench.server.on("/f", reply(200, BODY, set_cookie="a=b"))
    async with bench.upstream as upstream:
        for _ in range(2):
            async with upstream.fetch(UpstreamRequest(url), bench.reach) as response:
                assert isinstance(response.answer, BodyFollows)
    assert all("cookie" not in seen.headers for seen in bench.server.seen)


async def test_a_large_file_comes_in_bounded_pieces(bench: Bench) -> None:
    url = bench.server.on("/f", reply(200, bytes(3 << 20)))
    async with bench.upstream as upstream, upstream.fetch(UpstreamRequest(url), bench.reach) as response:
        sizes = [len(piece) async for piece in response.pieces()]
    assert sum(sizes) == 3 << 20
    assert max(sizes) <= PIECE


async def test_the_rest_is_asked_by_range_and_if_range(bench: Bench) -> None:
    part = say(head(206, content_length=1000, content_range="bytes 24-1023/1024", etag='"v1"') + BODY[24:])
    url = bench.server.on("/f", part)
    assert await bench.body(UpstreamRequest(url, start=24, if_range='"v1"', size=1024)) == BODY[24:]
    assert bench.server.seen[0].headers["range"] == "bytes=24-"
    assert bench.server.seen[0].headers["if-range"] == '"v1"'


async def test_if_range_missed_starts_over(bench: Bench) -> None:
    url = bench.server.on("/f", reply(200, BODY, etag='"v2"'))
    settled = await bench.settled(UpstreamRequest(url, start=24, if_range='"v1"', size=1024))
    assert settled == StartOver(Offer(0, 1024, 1024, etag='"v2"'))


async def test_wrong_content_range(bench: Bench) -> None:
    url = bench.server.on("/f", say(head(206, content_length=1024, content_range="bytes 0-1023/1024") + BODY))
    assert await bench.settled(UpstreamRequest(url, start=24)) == Broken(Fault.WRONG_RANGE, 206)


async def test_range_beyond_the_end(bench: Bench) -> None:
    url = bench.server.on("/f", reply(416, content_range="bytes */1024"))
    assert await bench.settled(UpstreamRequest(url, start=1024)) == NoSuchRange(1024)


async def test_not_modified(bench: Bench) -> None:
    url = bench.server.on("/f", reply(304, etag='"v1"'))
    assert await bench.settled(UpstreamRequest(url, etag='"v1"')) == NotModified('"v1"')


async def test_head_returns_the_offer_and_has_no_body(bench: Bench) -> None:
    url = bench.server.on("/f", say(head(200, content_length=1024)))
    async with bench.upstream as upstream, upstream.fetch(UpstreamRequest(url, head=True), bench.reach) as response:
        assert response.offer == Offer(0, 1024, 1024)
        assert await response.read(0) == b""
    assert bench.server.seen[0].method == "HEAD"


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        (403, Forbidden(403)),
        (404, Absent(404)),
        (410, Absent(410)),
        (500, Broken(Fault.STATUS, 500)),
    ],
)
async def test_a_refusal_keeps_the_connection(bench: Bench, status: int, settled: UpstreamAnswer) -> None:
    url = bench.server.on("/f", reply(status, b"sorry" * 100))
    async with bench.upstream as upstream:
        for _ in range(2):
            async with upstream.fetch(UpstreamRequest(url), bench.reach) as response:
                assert response.answer == settled
    assert bench.server.connections == 1


@pytest.mark.parametrize("status", [429, 503, 509])
async def test_throttling_delays_all_requests(server: RudeServer, status: int) -> None:
    bench = Bench(server, policy=RatePolicy())
    url = server.on("/f", reply(status, retry_after=7))
    async with bench.upstream as upstream:
        async with upstream.fetch(UpstreamRequest(url), bench.reach) as response:
            assert response.answer == Throttled(status, 7)
        async with upstream.fetch(UpstreamRequest(url), bench.reach, max_wait=1) as response:
            assert isinstance(response.answer, CoolingDown)
            assert (response.answer.upstream, response.answer.cause) == (f"127.0.0.1:{server.port}", str(status))
            assert response.answer.wait == pytest.approx(8, abs=1.5)
    assert len(server.seen) == 1, "the second was not sent"


async def test_refused(server: RudeServer) -> None:
    bench = Bench(server)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/f"
        assert await bench.settled(UpstreamRequest(url), EgressPolicy((url,))) == Broken(Fault.REFUSED)


async def test_reset_in_the_head(bench: Bench) -> None:
    url = bench.server.on("/f", then_reset(say(b"HTTP/1.1 200 OK\r\ncontent-le")))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.RESET)


async def test_closed_without_an_answer(bench: Bench) -> None:
    url = bench.server.on("/f", then_close(say(b"")))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.RESET)


async def test_stalled_head(bench: Bench) -> None:
    url = bench.server.on("/f", then_stall(say(b"HTTP/1.1 200 OK\r\n")))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.STALLED)


async def test_dripping_head(bench: Bench) -> None:
    async def drip(_seen: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.05)

    url = bench.server.on("/f", drip)
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.STALLED)


async def test_nonsense_for_a_head(bench: Bench) -> None:
    url = bench.server.on("/f", then_close(say(b"220 ftp ready\r\n\r\n")))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.NOT_HTTP)


async def test_contradicting_lengths_in_the_head(bench: Bench) -> None:
    url = bench.server.on("/f", say(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.NOT_HTTP)


async def test_reset_in_the_body(bench: Bench) -> None:
    url = bench.server.on("/f", then_reset(say(head(200, content_length=2048) + BODY)))
    got, fault = await bench.broken_body(UpstreamRequest(url))
    assert got == BODY
    assert fault in {Fault.RESET, Fault.TRUNCATED}


async def test_stalled_body(bench: Bench) -> None:
    url = bench.server.on("/f", then_stall(say(head(200, content_length=2048) + BODY)))
    assert await bench.broken_body(UpstreamRequest(url)) == (BODY, Fault.STALLED)


async def test_truncated(bench: Bench) -> None:
    url = bench.server.on("/f", then_close(say(head(200, content_length=2048) + BODY)))
    assert await bench.broken_body(UpstreamRequest(url)) == (BODY, Fault.TRUNCATED)


async def test_truncated_within_its_chunks(bench: Bench) -> None:
    url = bench.server.on("/f", then_close(say(head(200, transfer_encoding="chunked") + b"400\r\n" + BODY + b"\r\n")))
    assert await bench.broken_body(UpstreamRequest(url)) == (BODY, Fault.TRUNCATED)


async def test_truncated_where_only_the_index_lists_the_size(bench: Bench) -> None:
    url = bench.server.on("/f", then_close(say(head(200, connection="close") + BODY)))
    assert await bench.broken_body(UpstreamRequest(url, size=2048)) == (BODY, Fault.TRUNCATED)


async def test_too_long_is_noticed_by_its_announced_length(bench: Bench) -> None:
    url = bench.server.on("/f", reply(200, BODY))
    assert await bench.settled(UpstreamRequest(url, size=1000)) == Broken(Fault.WRONG_SIZE, 200)


async def test_too_long_is_cut_where_nothing_was_announced(bench: Bench) -> None:
    url = bench.server.on("/f", then_close(say(head(200, connection="close") + BODY)))
    got, fault = await bench.broken_body(UpstreamRequest(url, size=1000))
    assert fault is Fault.TOO_LONG
    assert len(got) <= 1000


async def test_bytes_after_the_announced_length_spoil_the_answer(bench: Bench) -> None:
    url = bench.server.on("/f", say(head(200, content_length=1000) + BODY))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.NOT_HTTP)


async def test_reading_is_bounded(bench: Bench) -> None:
    url = bench.server.on("/f", reply(200, BODY))
    with pytest.raises(BodyBrokenError) as caught:
        async with bench.upstream as upstream, upstream.fetch(UpstreamRequest(url), bench.reach) as response:
            await response.read(1000)
    assert caught.value.fault is Fault.TOO_LONG


async def test_html_instead_of_a_file(bench: Bench) -> None:
    url = bench.server.on("/f", reply(200, b"<html>", content_type="text/html"))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.HTML, 200)


async def test_a_body_with_an_encoding_that_was_not_requested_is_not_decoded(bench: Bench) -> None:
    url = bench.server.on("/Packages.gz", reply(200, b"\x1f\x8b", content_encoding="gzip"))
    assert await bench.body(UpstreamRequest(url)) == b"\x1f\x8b"


async def test_a_broken_body_starts_a_cool_down(server: RudeServer) -> None:
    bench = Bench(server, policy=RatePolicy())
    await bench.broken_body(UpstreamRequest(server.on("/f", then_close(say(head(200, content_length=2048) + BODY)))))
    assert bench.limiter.estimate(f"127.0.0.1:{server.port}") == pytest.approx(1, abs=0.5)


async def test_a_reader_that_leaves_returns_permit_and_connection(bench: Bench) -> None:
    url = bench.server.on("/f", then_stall(say(head(200, content_length=2048) + BODY)))
    async with bench.upstream as upstream:
        started = asyncio.Event()

        async def read() -> None:
            async with upstream.fetch(UpstreamRequest(url), bench.reach) as response:
                async for _ in response.pieces():
                    started.set()

        reader = asyncio.create_task(read())
        await started.wait()
        reader.cancel()
        await asyncio.wait({reader})
        assert set(bench.slots.held.values()) == {0}
        assert bench.limiter.estimate(f"127.0.0.1:{bench.server.port}") == 0, "that was not the upstream's fault"


async def test_a_hasty_request_fails_early_and_waits_for_no_cool_down(server: RudeServer) -> None:
    url = server.on("/f", then_stall(say(b"")))
    rests = RatePolicy(connections=8, rest=60.0, failure_cool_down_most=60.0)
    bench = Bench(server, policy=rests, timeouts=Timeouts(hasty=0.2))
    settled = []
    async with asyncio.timeout(5), bench.upstream as upstream:
        for _ in range(2):
            async with upstream.fetch(UpstreamRequest(url), bench.reach, hasty=True) as response:
                settled.append(type(response.answer))
    assert settled == [Broken, CoolingDown]
    assert len(server.seen) == 1


async def test_tls_spoken_to_a_server_without(server: RudeServer) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(400))
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as deaf:
        url = f"https://127.0.0.1:{deaf.sockets[0].getsockname()[1]}/f"
        assert await Bench(server).settled(UpstreamRequest(url), EgressPolicy((url,))) == Broken(Fault.TLS)
