"""The id of a request: a valid one of the client, otherwise one of ours; refusals have it, and the log."""

from __future__ import annotations

import re
from typing import Any

import pytest

Site = Any

OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]+")


async def test_an_answer_repeats_the_id_of_the_client(site: Site) -> None:
    client = await site.connect()
    site.archive.add("x", b"bytes")
    answer = await client.get(site.url("x"), "X-Request-ID: build-7.a_b")
    assert (answer.status, answer.headers["x-request-id"]) == (200, "build-7.a_b")
    assert "x-request-id" not in (await client.get(site.url("x"))).headers


@pytest.mark.parametrize("sent", ["", "-a", "a b", 'a"b', "a" * 65])
async def test_an_unsafe_id_is_replaced(site: Site, sent: str) -> None:
    client = await site.connect()
    answer = await client.get(site.url("absent"), f"X-Request-ID: {sent}")
    assert OWN.fullmatch(answer.headers["x-request-id"])


async def test_every_refusal_has_its_own_id_and_its_reason_in_the_log(site: Site) -> None:
    client = await site.connect()
    first, second = await client.get(site.url("absent")), await client.get(site.url("absent"))
    assert OWN.fullmatch(first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert all(line.endswith(f' done "{first.reason}"') for line in site.lines)
