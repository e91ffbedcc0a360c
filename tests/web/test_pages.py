"""The pages of the proxy itself: status, the script that pins a system, and health."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from typing import Any

import pytest

Site = Any

WHEN = "20240601T000000Z"


async def test_the_status_page_shows_snippets_for_this_host_escaped(site: Site) -> None:
    client = await site.connect()
    page = await client.get("/")
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert b"URIs: http://test/debian/" in page.body
    assert b"apt &lt;Debian&gt;" in page.body
    assert b"files: 3" in page.body
    assert b"<script" not in page.body
    assert b"Apt-cacher" not in page.body  # auto-apt-proxy would send machines that give no time


async def test_a_strange_host_is_not_repeated(site: Site) -> None:
    client = await site.connect()
    await client.send("GET / HTTP/1.1\r\nHost: <b>\r\n\r\n")
    page = await client.answer()
    assert b"http://127.0.0.1:3142/" in page.body
    assert b"<b>" not in page.body


async def test_the_script_points_at_the_host_it_is_fetched_from(site: Site) -> None:
    client = await site.connect()
    page = await client.get(f"/{WHEN}/~build/pin.sh")
    assert (page.status, page["Content-Type"]) == (200, "text/x-shellscript; charset=utf-8")
    assert page.body == f"# {WHEN} http://test build\n".encode()


@pytest.mark.parametrize(
    "host", ["$(reboot)", "a;b", "a b", "`x`", "a'b", 'a"b', "a\\b", "a/b", "a@b", "", "a:b", "a&b", "a\tb"]
)
async def test_a_strange_host_never_reaches_a_shell(site: Site, host: str) -> None:
    client = await site.connect()
    await client.send(f"GET /{WHEN}/~build/pin.sh HTTP/1.1\r\nHost: {host}\r\n\r\n")
    page = await client.answer()
    assert page.status == 400
    assert not host or host.encode() not in page.body


async def test_a_refused_script_fails_in_the_shell_it_is_piped_into(site: Site) -> None:
    client = await site.connect()
    page = await client.get("/never/pin.sh")
    assert page.status == 400
    done = await asyncio.create_subprocess_exec("sh", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, err = await done.communicate(page.body)
    assert (done.returncode, out) == (1, b"")
    assert err == b"snapproxy: That's not a time\nsnapproxy: $(reboot); `reboot`\n"


async def test_health(site: Site) -> None:
    client = await site.connect()
    assert (await client.get("/healthz")).body == b"ok\n"
    site.health["readyz"] = "the store is read-only"
    answer = await client.get("/readyz")
    assert (answer.status, answer.body) == (503, b"the store is read-only\n")
    assert (await client.get("/nonsense")).status == 404
