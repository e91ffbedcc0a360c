"""Requests whose framing two hops could read differently.

Each is refused, its connection is closed, and nothing behind it is answered.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

Site = Any

HIDDEN = b"GET /debian/20240601T000000Z/hidden HTTP/1.1\r\nHost: t\r\n\r\n"

FRAMINGS = {
    "length and chunks": (
        b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks and length": (
        b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    ),
    "two lengths": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\n",
    "two equal lengths": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: 0, 0\r\n\r\n",
    "a signed length": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\nabcde",
    "a negative length": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: -5\r\n\r\n",
    "a length too long": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "an empty length": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: \r\n\r\n",
    "a body on GET": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nabcde",
    "chunks on GET": b"GET /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    "a body on HEAD": b"HEAD /x HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nabcde",
    "another coding": b"GET /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\n",
    "coding after chunked": b"GET /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": (
        b"GET /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked by a tab": b"GET /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"GET /x HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"GET /x HTTP/1.1\r\nHost: t\r\nContent-Length : 5\r\n\r\nabcde",
    "folded header": b"GET /x HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n",
    "folded first header": b"GET /x HTTP/1.1\r\n Host: t\r\n\r\n",
    "bare LF in the request line": b"GET /x HTTP/1.1\nHost: t\r\n\r\n",
    "bare LF in a header": b"GET /x HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
    "bare LF at the end": b"GET /x HTTP/1.1\r\nHost: t\r\n\n",
    "bare CR in a header": b"GET /x HTTP/1.1\r\nHost: t\r\nX: a\rContent-Length: 5\r\n\r\n",
    "NUL in a header": b"GET /x HTTP/1.1\r\nHost: t\r\nX: a\x00b\r\n\r\n",
    "a chunk extension's LF": (
        b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nabcde\r\n0\r\n\r\n"
    ),
    "a chunk size in hex prefix": (
        b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n"
    ),
    "a chunk size too long": (
        b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff5\r\nabcde\r\n"
    ),
    "a chunk without its end": (
        b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n"
    ),
    "two hosts": b"GET /x HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "a space in the target": b"GET /x y HTTP/1.1\r\nHost: t\r\n\r\n",
    "another version": b"GET /x HTTP/2.0\r\nHost: t\r\n\r\n",
    "no version": b"GET /x\r\n\r\n",
    "two times": (
        b"GET /x HTTP/1.1\r\nHost: t\r\nProxy-Authorization: Basic YTp4\r\nProxy-Authorization: Basic Yjp4\r\n\r\n"
    ),
    "an upgrade": b"GET /x HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "an upgrade to h2c": (
        b"GET /x HTTP/1.1\r\nHost: t\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    ),
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an unknown method": b"FROB /x HTTP/1.1\r\nHost: t\r\n\r\n",
    "a method in lower case": b"get /x HTTP/1.1\r\nHost: t\r\n\r\n",
}


@pytest.mark.parametrize("name", FRAMINGS)
async def test_doubtful_framing_is_refused_and_hides_nothing(site: Site, name: str) -> None:
    site.archive.add("hidden", b"hidden")
    client = await site.connect()
    await client.send(FRAMINGS[name] + HIDDEN)
    answer = await asyncio.wait_for(client.answer("HEAD" if b"HEAD" in FRAMINGS[name] else "GET"), 5)
    assert answer.status in {400, 405, 505}
    assert answer["Connection"] == "close"
    assert await asyncio.wait_for(client.is_closed(), 5)
    assert not site.archive.asked
    assert not site.archive.prefetched


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND"])
async def test_other_methods_are_refused_by_name(site: Site, method: str) -> None:
    client = await site.connect()
    answer = await client.get(site.url("x"), method=method)
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD")
    assert not site.archive.asked
    assert (await client.get("/healthz")).status == 200


async def test_the_body_of_a_refused_request_is_not_read_as_the_next_one(site: Site) -> None:
    client = await site.connect()
    await client.send(
        b"POST /debian/20240601T000000Z/x HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
    )
    assert (await client.answer()).status == 405
    assert await client.is_closed()
    assert not site.archive.asked


async def test_a_client_that_sends_slowly_byte_by_byte_is_understood(site: Site) -> None:
    site.archive.add("hidden", b"hidden")
    client = await site.connect()
    for index in range(len(HIDDEN)):
        await client.send(HIDDEN[index : index + 1])
        await asyncio.sleep(0)
    assert (await client.answer()).body == b"hidden"
