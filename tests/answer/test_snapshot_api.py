"""The snapshot service's own calls, through the store.

Answers are kept until they expire, and served stale when no upstream answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from snapproxy.answer import snapshot_api
from tests.fakes.faults import Hold, Status, WrongBytes
from tests.fakes.hamlet import FIRST, PACKAGES, Hamlet, content_of
from tests.fakes.house import House, until

MakeHouse = Callable[..., Awaitable[House]]
CALL = "/mr/binary/kept/"
TIMELINE = "/mr/timestamp/?archive=debian"


class TestAnswers:
    async def test_are_kept_for_an_hour(self, house: House, hamlet: Hamlet) -> None:
        first = await house.call(CALL)
        assert json.loads(first.data)["result"][0]["name"] == "kept"
        assert (first.served.cache, first.served.proof.word) == ("MISS", "none")
        assert (first.served.archive, first.served.snapshot) == ("debian", "live")
        assert first.served.headers == {
            "X-Snapproxy-Note": "current answer of the archive's service; not pinned to a snapshot"
        }
        house.clock.leap(3595)
        assert (await house.call(CALL)).served.cache == "HIT"
        assert len(hamlet.asked(CALL)) == 1
        house.clock.leap(10)
        assert (await house.call(CALL)).served.cache == "MISS"
        assert len(hamlet.asked(CALL)) == 2

    async def test_a_timeline_is_kept_for_ten_minutes(self, house: House, hamlet: Hamlet) -> None:
        await house.call(TIMELINE)
        house.clock.leap(595)
        await house.call(TIMELINE)
        assert len(hamlet.past.requests("/mr/timestamp")) == 1
        house.clock.leap(10)
        await house.call(TIMELINE)
        assert len(hamlet.past.requests("/mr/timestamp")) == 2

    async def test_are_asked_once_however_many_call(self, house: House, hamlet: Hamlet) -> None:
        hold = hamlet.past.fault("/mr/*", Hold(after=10))
        asked = [asyncio.create_task(house.call(CALL)) for _ in range(10)]
        await until(hold.reached.is_set)
        hold.release()
        assert len({got.data for got in await asyncio.gather(*asked)}) == 1
        assert len(hamlet.asked(CALL)) == 1

    async def test_stand_in_when_upstream_fails_and_say_so(self, house: House, hamlet: Hamlet) -> None:
        fresh = await house.call(CALL)
        house.clock.leap(86400)
        for fault in (Status(500), Status(403)):
            hamlet.past.heal()
            hamlet.past.fault("/mr/*", fault)
            stale = await house.call(CALL)
            assert stale.data == fresh.data
            assert stale.stale == "upstream does not answer"
        with hamlet.past.refusing():
            assert (await house.call(CALL)).data == fresh.data

    async def test_that_were_never_had_are_refused_when_upstream_fails(self, house: House, hamlet: Hamlet) -> None:
        hamlet.past.fault("/mr/*", Status(500))
        assert (await house.call(CALL)).status == 502

    async def test_an_absence_is_believed_for_ten_minutes(self, house: House, hamlet: Hamlet) -> None:
        for _ in range(3):
            assert (await house.call("/mr/binary/unheard-of/")).status == 404
        assert len(hamlet.asked("unheard-of")) == 1
        house.clock.leap(601)
        await house.call("/mr/binary/unheard-of/")
        assert len(hamlet.asked("unheard-of")) == 2

    async def test_that_are_web_pages_are_taken_for_listings_only(self, house: House, hamlet: Hamlet) -> None:
        folder = f"/archive/debian/{hamlet.timeline.ids[0]}/dists/"
        assert (await house.call(folder)).status == 502
        got = await house.call(f"{folder}stable/", is_listing=True)
        assert (got.status, got.served.media_type) == (200, "text/html; charset=utf-8")

    async def test_longer_than_any_list_are_refused(
        self, house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(snapshot_api, "MAX_ANSWER", 10)
        assert (await house.call(CALL)).refusal.reason == "Upstream sent more than it announced or than the index lists"
        assert house.drafts == []

    async def test_whose_blob_is_gone_are_asked_for_again(self, house: House, hamlet: Hamlet) -> None:
        first = await house.call(CALL)
        house.evict(first.served.digest)
        assert (await house.call(CALL)).data == first.data
        assert len(hamlet.asked(CALL)) == 2

    async def test_offline_are_served_however_old(self, house: House, make_house: MakeHouse, hamlet: Hamlet) -> None:
        first = await house.call(CALL)
        await house.close()
        offline = await make_house(offline=True)
        offline.clock.leap(86400)
        got = await offline.call(CALL)
        assert (got.data, "X-Snapproxy-Stale" in got.served.headers) == (first.data, True)
        assert (await offline.call("/mr/binary/other/")).status == 424

    async def test_of_two_processes_are_one_request(self, house: House, make_house: MakeHouse, hamlet: Hamlet) -> None:
        other = await make_house()
        hold = hamlet.past.fault("/mr/*", Hold(after=10))
        asked = [asyncio.create_task(each.call(CALL)) for each in (house, other)]
        await until(hold.reached.is_set)
        await asyncio.sleep(0.05)
        hold.release()
        assert len({got.data for got in await asyncio.gather(*asked)}) == 1
        assert len(hamlet.asked(CALL)) == 1


class TestFiles:
    async def test_are_verified_by_their_name_and_kept_for_ever(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.kept)
        path = f"/file/{content.sha1}"
        first = await house.call(path, content.sha1)
        assert (first.data, first.served.proof.word, first.served.cache) == (content.data, "digest", "MISS")
        await until(lambda: house.store.catalog.name("sha1", content.sha1) is not None)
        house.clock.leap(10 * 365 * 86400)
        assert (await house.call(path, content.sha1)).served.cache == "HIT"
        assert len(hamlet.asked()) == 1

    async def test_stream_while_they_arrive(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.kept)
        hold = hamlet.past.fault("*", Hold(after=100_000))
        asked = asyncio.create_task(house.call(f"/file/{content.sha1}", content.sha1))
        await until(lambda: any("sha1:" in key for key in house.app.executor._downloads._flights))
        flight = next(iter(house.app.executor._downloads._flights.values()))
        await until(lambda: flight.is_followed)
        hold.release()
        assert (await asked).data == content.data

    async def test_with_other_bytes_are_refused(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.kept)
        hamlet.past.fault("/file/*", WrongBytes(at=10))
        got = await house.call(f"/file/{content.sha1}", content.sha1)
        assert got.broke
        told = await house.call(f"/file/{content.sha1}", content.sha1)
        assert (told.status, told.refusal.reason) == (502, "Upstream sent wrong bytes: sha1 differs")
        assert house.store.catalog.name("sha1", content.sha1) is None

    async def test_that_were_evicted_are_fetched_again(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.kept)
        path = f"/file/{content.sha1}"
        await house.call(path, content.sha1)
        await until(lambda: house.store.catalog.name("sha1", content.sha1) is not None)
        house.evict(content.sha256)
        again = await house.call(path, content.sha1)
        assert (again.status, again.data) == (200, content.data)
        assert len(hamlet.asked()) == 2

    async def test_that_an_archive_s_file_brought_are_here_already(self, house: House, hamlet: Hamlet) -> None:
        await house.get(FIRST, "dists/stable/InRelease")
        await house.get(FIRST, PACKAGES)
        index = hamlet.content(PACKAGES)
        hamlet.log.reset_counts()
        got = await house.call(f"/file/{index.sha1}", index.sha1)
        assert (got.data, got.served.cache, hamlet.asked()) == (index.data, "HIT", [])
