"""Every page: its form, its verdict, its faults, and text of strangers in it."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from blockbuster import BlockBuster

from snapproxy.core.exchange import Page, PageRequest
from snapproxy_storage import StorageFailure
from tests.fakes.page_site import HOSTILE, NOW, PLACES, MadeUpSite

each_place = pytest.mark.parametrize("place", PLACES)


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def asked(place: str, accept: str = "text/html") -> PageRequest:
    address = urlsplit(PLACES[place])
    return PageRequest(address.path, dict(parse_qsl(address.query)), accept)


async def page_of(made_up: MadeUpSite, place: str, accept: str = "text/html") -> Page:
    page = await made_up.site.answer(asked(place, accept))
    assert isinstance(page, Page)
    return page


async def values(made_up: MadeUpSite, place: str) -> dict[str, Any]:
    page = await page_of(made_up, place, "application/json")
    assert page.media_type == "application/json"
    return dict(json.loads(page.body))


@each_place
async def test_every_page_begins_with_the_verdict_and_marks_its_place(made_up: MadeUpSite, place: str) -> None:
    page = await page_of(made_up, place)
    assert (page.status, page.media_type) == (404 if place == "missing" else 200, "text/html; charset=utf-8")
    text = page.body.decode()
    assert text.index("WATCHING</strong>") < text.index("<nav")
    assert "snapshot.debian.org is cooling down." in text
    elements = Elements(page).found
    current = [attributes for _, attributes in elements if attributes.get("aria-current") == "page"]
    assert len(current) == (0 if place == "missing" else 1)
    assert sum(tag == "h1" for tag, _ in elements) == 1
    assert not [attributes for _, attributes in elements if "style" in attributes or "onclick" in attributes]
    assert [attributes for tag, attributes in elements if tag == "script"] == [{"src": "/live.js", "defer": None}]
    assert HOSTILE not in text


@each_place
async def test_every_page_has_its_values_as_json(made_up: MadeUpSite, place: str) -> None:
    found = await values(made_up, place)
    assert (found["verdict"], found["time"]) == ("WATCHING", NOW)
    assert found["reasons"] == ["snapshot.debian.org is cooling down."]
    by_query = await made_up.get("/", format="json")
    assert by_query.media_type == "application/json"


@each_place
async def test_no_page_blocks_the_event_loop(made_up: MadeUpSite, place: str, watchdog: BlockBuster) -> None:
    assert watchdog.functions
    await page_of(made_up, place)


async def test_the_accept_header_decides_unless_the_address_does(made_up: MadeUpSite) -> None:
    for accept, query, kind in (
        ("", {}, "text/html; charset=utf-8"),
        ("*/*", {}, "text/html; charset=utf-8"),
        ("text/html,application/json;q=0.9", {}, "text/html; charset=utf-8"),
        ("application/json", {"format": "html"}, "text/html; charset=utf-8"),
        ("Application/JSON", {}, "application/json"),
        ("text/html", {"format": "json"}, "application/json"),
    ):
        assert (await made_up.get("/", accept, **query)).media_type == kind


@pytest.mark.parametrize(
    "path",
    ["/x", "/archives/none", "/archives/debian/x", "/captures/none", "/captures/nightly/none", "/captures/none/lock",
     "/captures/a/b/c", f"/archives/{HOSTILE}", f"/captures/{HOSTILE}", "/compare", "/..", "//x"],
)  # fmt: skip
async def test_an_unknown_page_is_a_404_with_a_reason(made_up: MadeUpSite, path: str) -> None:
    page = await made_up.get(path)
    assert page.status == 404
    assert HOSTILE.encode() not in page.body
    error = json.loads((await made_up.get(path, "application/json")).body)["error"]
    assert error["status"] == 404
    assert error["reason"]


async def test_a_store_that_fails_is_a_page_too(made_up: MadeUpSite, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise StorageFailure("cannot look through the catalog: interrupted")

    monkeypatch.setattr(type(made_up.store.overview), "names", fails)
    page = await made_up.get("/captures")
    assert page.status == 503
    assert b"cannot look through the catalog" in page.body


async def test_the_verdict_follows_the_service(made_up: MadeUpSite) -> None:
    made_up.service.signals_now = replace(made_up.service.signals_now, store_fault="the disk is <full>")
    page = await made_up.get("/setup")
    assert b"DEGRADED</strong>" in page.body
    assert b"the disk is &lt;full&gt;." in page.body


async def test_the_style_and_the_script_are_files(made_up: MadeUpSite) -> None:
    for path, kind in (("/style.css", "text/css"), ("/live.js", "text/javascript")):
        page = await made_up.get(path)
        assert page.media_type.startswith(kind)
        assert b"http" not in page.body.replace(b"https and localhost", b"")
        assert len(page.body) < 16_384


HOSTILE_QUERIES = [
    "archive=debian&name=" + "%3Cb%3E",
    "archive=%3Cb%3E&name=x",
    "year=99999&day=2024-13-45",
    "year=0000",
    "day=0001-01-01",
    "after=%00%ff%F4%8F%BF%BF",
    "below=%22'%3E&archive=debian&name=x",
    "at=../../x&archive=debian&name=x",
    "distro=%3Cb%3E&form=%3Cb%3E&at=%3Cb%3E&suite=%3Cb%3E&repo=%3Cb%3E&base=http://%3Cb%3E:1",
    "one=%3Cb%3E&other=%3Cb%3E",
    "base=http://x:99999999",
    "base=http://%5B::1&at=2024-06-01",
]


@pytest.mark.parametrize(
    "path", ["/", "/archives/debian", "/captures", "/captures/nightly", "/compare", "/packages", "/setup"]
)
async def test_any_query_has_an_answer_without_its_markup(made_up: MadeUpSite, path: str) -> None:
    for query in HOSTILE_QUERIES:
        fields = dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
        page = await made_up.site.answer(PageRequest(path, fields, "text/html"))
        assert isinstance(page, Page)
        assert page.status in {200, 404}, query
        assert b"<b>" not in page.body, query
