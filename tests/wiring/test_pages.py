"""The pages of a real application: after real requests they show what was served, and ask no archive."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from snapproxy.base.metrics import UPSTREAM_REQUESTS, values_of
from snapproxy.core.exchange import Page, PageRequest
from snapproxy.monitoring.samples import TotalsSample
from snapproxy.wiring import pages as wiring
from snapproxy.wiring.pages import ServicePages
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, content_of
from tests.fakes.house import House, until

SAMPLES = [TotalsSample(1, 2, 3, 4, 5, 6, 7, 8, 9)]


@pytest.fixture(autouse=True)
def _each_look_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "COUNT_SECONDS", 0.0)


async def hosts(house: House) -> set[str]:
    totals = await asyncio.to_thread(house.store.counters.totals)
    return {labels[0] for name, labels in map(values_of, totals) if name == UPSTREAM_REQUESTS.name}


async def values(pages: ServicePages, path: str, **query: str) -> dict[str, Any]:
    page = await pages.answer(PageRequest(path, query, "application/json"))
    assert isinstance(page, Page)
    assert page.status == 200, page.body
    return dict(json.loads(page.body))


async def serve(house: House, hamlet: Hamlet) -> None:
    edition = hamlet.edition
    for when, package in ((FIRST, edition.old), (SECOND, edition.new)):
        for path in (INRELEASE, PACKAGES, package.path):
            answer = await house.get(when, path, capture="build" if when == FIRST else "")
            assert answer.status == 200
    assert (await house.get(FIRST, f"pool/none/{'x' * 5}.deb")).status == 404


async def test_the_pages_show_what_was_served(house: House, hamlet: Hamlet) -> None:
    pages = ServicePages(lambda: house.app, lambda: SAMPLES)
    await serve(house, hamlet)
    asked = len(hamlet.log.entries)

    await house.store.space.recount()
    now = await values(pages, "/")
    assert now["traffic"]["fetched"] > 400_000
    assert now["last_day"] == [{"at": 1, "hits": 5, "misses": 4, "refusals": 5, "sent": 6, "fetched": 7}]
    assert now["disk"]["used"] > 300_000
    assert {each["name"] for each in now["upstreams"]} == await hosts(house)

    (debian,) = (await values(pages, "/archives"))["archives"]
    assert (debian["stored_snapshots"], debian["newest_stored"]) == (2, SECOND)
    calendar = await values(pages, "/archives/debian", year="2024", day="2024-06-11")
    days = {each["day"]: each for each in calendar["days"]}
    assert days["2024-06-01"] | {"known": 4} == {
        "day": "2024-06-01", "known": 4, "stored": 1, "observed": 0, "bad": 0, "is_listed": True,
    }  # fmt: skip
    assert calendar["snapshots"][0] == {
        "snapshot": SECOND, "time": "2024-06-11T00:00:00Z", "known": True, "stored": True, "observed": False,
        "bad": False, "because": "",
    }  # fmt: skip

    versions = await values(pages, "/packages", archive="debian", name="moved")
    assert [(each["snapshot"], [one["version"] for one in each["versions"]]) for each in versions["snapshots"]] == [
        (SECOND, ["2"]),
        (FIRST, ["1"]),
    ]

    capture = await values(pages, "/captures/build")
    assert [each["path"] for each in capture["entries"]] == sorted([INRELEASE, PACKAGES, hamlet.edition.old.path])
    assert {each["proof"] for each in capture["entries"]} == {"gpg"}
    assert content_of(hamlet.edition.old).sha256 in {each["sha256"] for each in capture["entries"]}
    assert len(hamlet.log.entries) == asked


async def test_a_download_in_progress_has_its_readers(house: House, hamlet: Hamlet) -> None:
    pages = ServicePages(lambda: house.app, lambda: SAMPLES)
    await house.get(FIRST, INRELEASE)
    await house.get(FIRST, PACKAGES)
    outcome = await house.ask(FIRST, hamlet.edition.kept.path)
    found = (await values(pages, "/"))["transfers"]
    assert [(each["path"], each["space"], each["readers"]) for each in found] in (
        [(hamlet.edition.kept.path, f"debian/{FIRST}", 1)],
        [],  # it may have ended already
    )
    outcome.body.close()  # type: ignore[union-attr]
    await until(lambda: not house.app.downloads.flights())
    assert (await values(pages, "/"))["transfers"] == []


async def test_a_cool_down_is_watched(house: House, hamlet: Hamlet) -> None:
    pages = ServicePages(lambda: house.app, lambda: SAMPLES)
    await house.get(FIRST, INRELEASE)
    upstream = next(iter(await hosts(house)))
    async with house.app.limiter.permit(upstream) as permit:
        await permit.throttled(429)
    found = await values(pages, "/")
    (cooling,) = [each for each in found["upstreams"] if each["cool_down"]]
    assert (cooling["name"], cooling["cause"], round(cooling["slow_down"], 1)) == (upstream, "429", 1.5)
    assert found["verdict"] in {"WATCHING", "DEGRADED"}
    assert f"{upstream} is cooling down." in " ".join(found["reasons"])
