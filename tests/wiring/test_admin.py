"""The probes of the admin listener: text for people, JSON with the reasons for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from snapproxy.core.exchange import Page, PageRequest
from snapproxy.core.model import Refusal
from snapproxy.wiring.admin import AdminPages
from snapproxy_storage import StorageFailure


class Observed:
    """A service whose store fails if `fault` says why."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def stats(self) -> Mapping[str, Any]:
        return {}

    async def health(self) -> str:
        return self.fault

    async def ready(self) -> str:
        return self.fault and f"not ready: {self.fault}"


async def probe(fault: str, path: str, accept: str = "", **query: str) -> Page:
    page = await AdminPages(lambda: Observed(fault), {}).answer(PageRequest(path, query, accept))
    assert isinstance(page, Page)
    return page


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_sound_service_answers_ok(path: str) -> None:
    page = await probe("", path)
    assert (page.status, page.media_type, page.body) == (200, "text/plain; charset=utf-8", b"ok\n")
    page = await probe("", path, format="json")
    assert (page.status, json.loads(page.body)) == (200, {"ok": True, "reasons": []})


@pytest.mark.parametrize(("path", "reason"), [("/healthz", 'disk "full"'), ("/readyz", 'not ready: disk "full"')])
async def test_a_fault_is_stated(path: str, reason: str) -> None:
    page = await probe('disk "full"', path)
    assert (page.status, page.body.decode()) == (503, f"{reason}\n")
    page = await probe('disk "full"', path, "application/json")
    assert (page.status, page.media_type) == (503, "application/json")
    assert json.loads(page.body) == {"ok": False, "reasons": [reason]}


class Unreadable:
    """A page whose store fails."""

    async def answer(self, _: PageRequest) -> Page:
        raise StorageFailure("cannot read the counters: Too many open files")


async def test_a_store_that_cannot_be_read_is_a_503_and_not_an_internal_error() -> None:
    refusal = await AdminPages(Observed, {"metrics": Unreadable()}).answer(PageRequest("/metrics", {}, ""))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, "Too many open files" in refusal.why) == (503, True)


@pytest.mark.parametrize(
    ("accept", "query", "is_json"),
    [
        ("", {}, False),
        ("*/*", {}, False),
        ("application/json", {}, True),
        ("text/html,application/json", {}, False),
        ("text/html", {"format": "json"}, True),
        ("application/json", {"format": "text"}, False),
    ],
)
def test_json_is_for_programs(accept: str, query: dict[str, str], is_json: bool) -> None:
    assert PageRequest("/", query, accept).wants_json is is_json
