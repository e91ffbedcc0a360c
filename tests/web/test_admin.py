"""The second listener: its pages, and the requests that it refuses."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator

import pytest

from snapproxy.core.exchange import Page, PageRequest
from snapproxy.core.model import Refusal
from snapproxy.errors import StorageError
from snapproxy.web.admin import AdminServer
from snapproxy.web.replies import STRANGER
from tests.fakes.rawclient import RawClient, request

DATE = 1717200000


class Echo:
    """Pages that return what they were asked for."""

    def __init__(self) -> None:
        self.requests: list[PageRequest] = []
        self.are_closed = False

    def refuse(self, _address: str, authorization: str) -> Refusal | None:
        return STRANGER if self.are_closed and not authorization else None

    async def answer(self, asked: PageRequest) -> Page | Refusal:
        self.requests.append(asked)
        match asked.path:
            case "/none":
                return Refusal(404, "No such page", hint="Request / for the first page.")
            case "/fault":
                raise StorageError("The store cannot be read")
            case "/error":
                raise RuntimeError("secret of the program")
            case "/style.css":
                return Page("text/css", b"a {}", headers={"Cache-Control": "max-age=60"})
        return Page("text/html; charset=utf-8", b"<p>page</p>")


@pytest.fixture
def pages() -> Echo:
    return Echo()


@pytest.fixture
async def client(
    pages: Echo, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RawClient]:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(socket, "gethostname", lambda: "test.example")  # the client sends `Host: test`
    server = AdminServer(
        pages,
        refuse=lambda _, authorization: None if authorization or not pages.are_closed else STRANGER,
        instance="snapproxy-test",
        now=lambda: DATE,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    await server.start([listener])
    client = await RawClient.connect(port)
    yield client
    client.close()
    await server.close()


async def test_a_page_has_a_strict_policy(client: RawClient, pages: Echo) -> None:
    answer = await client.get("/captures/%C3%A4?format=json&at=a%20b", "Accept: text/html")
    assert (answer.status, answer.body) == (200, b"<p>page</p>")
    assert answer["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert (answer["X-Content-Type-Options"], answer["Cache-Control"]) == ("nosniff", "no-store")
    assert pages.requests == [PageRequest("/captures/ä", {"format": "json", "at": "a b"}, "text/html")]


async def test_a_page_may_set_a_field_itself(client: RawClient) -> None:
    assert (await client.get("/style.css"))["Cache-Control"] == "max-age=60"


async def test_head_has_no_body(client: RawClient) -> None:
    answer = await client.get("/", method="HEAD")
    assert (answer.status, answer["Content-Length"]) == (200, "11")
    assert (await client.get("/")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_no_method_changes_anything(client: RawClient, pages: Echo, method: str) -> None:
    answer = await client.get("/", "Content-Length: 0", method=method)
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD")
    assert not pages.requests


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "a b", "", "localhost@evil.example"])
async def test_a_foreign_host_is_refused(client: RawClient, pages: Echo, host: str) -> None:
    await client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    answer = await client.answer()
    assert answer.status == 421
    assert host.encode() not in answer.body or not host
    assert not pages.requests


@pytest.mark.parametrize(
    "host", ["127.0.0.1:3143", "[::1]:3143", "localhost", "LOCALHOST:1", "10.0.0.1", "Test.Example:80"]
)
async def test_an_address_of_this_machine_is_accepted(client: RawClient, host: str) -> None:
    await client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    assert (await client.answer()).status == 200


@pytest.mark.parametrize(("target", "status"), [
    ("/none", 404), ("/fault", 500), ("/error", 500), ("http://localhost/", 400), ("/%2e%2e/x", 400), ("/%00", 400),
    ("/?" + "&".join(f"a{number}=1" for number in range(40)), 400), ("/?a=%ff", 400),
])  # fmt: skip
async def test_a_fault_is_a_status_without_internals(client: RawClient, target: str, status: int) -> None:
    answer = await client.get(target)
    assert answer.status == status
    assert b"secret" not in answer.body


async def test_a_stranger_gets_nothing(client: RawClient, pages: Echo) -> None:
    pages.are_closed = True
    assert (await client.get("/")).status == 403
    assert not pages.requests
    client = await RawClient.connect(client.writer.get_extra_info("peername")[1])
    assert (await client.get("/", "Authorization: Bearer token")).status == 200
    client.close()


async def test_invalid_http_is_a_400(client: RawClient) -> None:
    await client.send("nonsense\r\n\r\n")
    assert (await client.answer()).status == 400


async def test_a_request_is_logged(client: RawClient, caplog: pytest.LogCaptureFixture) -> None:
    await client.send(request('/x"y'))
    await client.answer()
    await asyncio.sleep(0)
    lines = [each.getMessage() for each in caplog.records if each.name == "snapproxy.access"]
    assert '"GET /x%22y" 200' in lines[0]
