"""The order of sources, the number of requests, and requests that are avoided (rules 3, 5 and 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from snapproxy.core.rate_limit import RatePolicy
from tests.fakes.content import Content
from tests.fakes.faults import Exchange, Hold, Html, Reset, Status, complete
from tests.fakes.hamlet import DUMPS, FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, content_of, later
from tests.fakes.house import UNHURRIED, Got, House, read, until

MakeHouse = Callable[..., Awaitable[House]]
BY_HASH = "dists/stable/main/binary-amd64/by-hash/SHA256"
CHANGELOG = "pool/main/k/kept/kept_1.changelog"
SIX_HOURS = 6 * 3600


@pytest.fixture
async def updated(house: House, hamlet: Hamlet) -> House:
    """A house whose client has the root and the index of FIRST; counters are zero."""
    await house.get(FIRST, INRELEASE)
    await house.get(FIRST, PACKAGES)
    hamlet.log.reset_counts()
    return house


def services(hamlet: Hamlet) -> list[str]:
    """The servers that received the requests so far, in order."""
    return [each.service for each in hamlet.asked()]


class Shorter:
    """A file cut short, with its short length announced."""

    needs_body = True

    def play(self, exchange: Exchange) -> None:
        whole = exchange.answer.content
        complete(exchange, replace(exchange.answer, content=Content(whole.data[:-1000], whole.modified)))


class TestOrder:
    async def test_a_package_the_mirror_still_has_never_asks_the_snapshot_service(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        assert (await updated.get(FIRST, hamlet.edition.kept.path)).served.proof.word == "gpg"
        assert services(hamlet) == ["now"]

    async def test_one_that_it_no_longer_has_comes_from_the_service(self, updated: House, hamlet: Hamlet) -> None:
        hamlet.publish(later(SECOND, DUMPS * SIX_HOURS), hamlet.without(hamlet.edition.kept.path))
        got = await updated.get(FIRST, hamlet.edition.kept.path)
        assert got.data == content_of(hamlet.edition.kept).data
        assert services(hamlet) == ["now", "past", "past"]

    async def test_an_index_is_asked_of_the_mirror_by_hash_and_never_by_its_own_name(
        self, house: House, hamlet: Hamlet
    ) -> None:
        await house.get(FIRST, INRELEASE)
        hamlet.log.reset_counts()
        await house.get(FIRST, PACKAGES)
        asked = [each.path for each in hamlet.asked(server="now")]
        assert asked == [f"/debian/{BY_HASH}/{hamlet.content(PACKAGES).sha256}"]

    async def test_an_index_that_is_unchanged_comes_from_the_mirror(self, house: House, hamlet: Hamlet) -> None:
        hamlet.publish_now(FIRST)
        await house.get(FIRST, INRELEASE)
        hamlet.log.reset_counts()
        await house.get(FIRST, PACKAGES)
        assert services(hamlet) == ["now"]

    async def test_by_hash_and_canonical_name_are_one_download(self, house: House, hamlet: Hamlet) -> None:
        index = hamlet.content(PACKAGES)
        one = await house.get(FIRST, f"{BY_HASH}/{index.sha256}")
        hamlet.log.reset_counts()
        two = await house.get(FIRST, PACKAGES)
        assert (one.data, two.data, two.served.cache) == (index.data, index.data, "HIT")
        assert services(hamlet) == []

    async def test_another_instant_that_lists_the_same_bytes_downloads_nothing(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        await updated.get(FIRST, hamlet.edition.kept.path)
        await updated.get(SECOND, INRELEASE)
        await updated.get(SECOND, PACKAGES)
        hamlet.log.reset_counts()
        got = await updated.get(SECOND, hamlet.edition.kept.path)
        assert (got.served.cache, got.served.proof.word, services(hamlet)) == ("HIT", "gpg", [])

    async def test_a_weak_digest_is_never_trusted_to_a_mirror(self, updated: House, hamlet: Hamlet) -> None:
        weak = hamlet.edition.weak
        got = await updated.get(FIRST, weak.path)
        assert (got.data, got.served.proof.word) == (content_of(weak).data, "index")
        assert services(hamlet) == ["past", "past"]

    async def test_a_mirror_that_is_down_is_asked_once_and_left(self, updated: House, hamlet: Hamlet) -> None:
        with hamlet.now.refusing():
            got = await updated.get(FIRST, hamlet.edition.kept.path)
        assert got.data == content_of(hamlet.edition.kept).data
        assert updated.app.tally.upstream_requests[hamlet.now.url.removeprefix("http://")] == 2  # the index, and this

    @pytest.mark.parametrize("fault", [Status(403), Status(500), Html(), Reset()], ids=repr)
    async def test_a_mirror_that_fails_hands_over_to_the_service(
        self, updated: House, hamlet: Hamlet, fault: Status
    ) -> None:
        hamlet.now.fault("*", fault)
        got = await updated.get(FIRST, hamlet.edition.kept.path)
        assert got.data == content_of(hamlet.edition.kept).data
        assert services(hamlet)[-2:] == ["past", "past"]
        # aiohttp itself asks once more when a connection that was kept open turns out to be closed.
        assert set(services(hamlet)[:-2]) == {"now"}

    async def test_an_archive_without_mirrors_has_the_service_alone(
        self, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        house = await make_house(rows=(replace(hamlet.row, mirrors=()),))
        await house.get(FIRST, INRELEASE)
        await house.get(FIRST, PACKAGES)
        await house.get(FIRST, hamlet.edition.kept.path)
        assert set(services(hamlet)) == {"past"}


class TestAbsence:
    async def test_a_file_that_a_signed_root_does_not_list_is_absent_without_a_request(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        for path in (f"{BY_HASH}/{'a' * 64}", "dists/stable/main/binary-arm64/Packages.xz"):
            assert (await updated.get(FIRST, path)).status == 404
        assert services(hamlet) == []

    async def test_a_404_that_no_root_confirms_is_remembered_for_ten_minutes(
        self, house: House, hamlet: Hamlet
    ) -> None:
        assert (await house.get(FIRST, CHANGELOG)).status == 404
        assert len(hamlet.asked()) == 1
        hamlet.place(CHANGELOG, Content(b"1: first upload\n", 1_717_200_000))
        house.clock.leap(540)  # a minute early, since real time passes too on a busy machine
        assert (await house.get(FIRST, CHANGELOG)).status == 404
        assert len(hamlet.asked()) == 1
        house.clock.leap(61)
        assert (await house.get(FIRST, CHANGELOG)).data == b"1: first upload\n"

    async def test_a_listed_file_that_the_service_denies_is_requested_once_more(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        old = hamlet.edition.old
        hamlet.past.fault(f"*{old.path}", Status(404), times=1)
        assert (await updated.get(FIRST, old.path)).data == content_of(old).data
        assert services(hamlet) == ["now", "past", "past", "past"]

    async def test_a_listed_package_without_a_source_is_a_fault_and_not_an_absence(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        old = hamlet.edition.old
        hamlet.past.fault(f"*{old.path}", Status(404))
        got = await updated.get(FIRST, old.path)
        assert (got.status, got.refusal.reason) == (502, "The index lists this file, but no source has it")
        assert services(hamlet) == ["now", "past", "past"]
        updated.clock.leap(300)
        assert (await updated.get(FIRST, old.path)).status == 502
        assert services(hamlet) == ["now", "past", "past"]

    async def test_a_denial_at_one_snapshot_says_nothing_of_another(self, house: House, hamlet: Hamlet) -> None:
        """The same listed bytes may exist at another snapshot, under its own address."""
        hamlet.publish(later(SECOND, DUMPS * SIX_HOURS), hamlet.without(hamlet.edition.kept.path))
        for when in (FIRST, SECOND):
            await house.get(when, INRELEASE)
            await house.get(when, PACKAGES)
        hamlet.past.fault(f"/archive/debian/{FIRST}/pool/*", Status(404))
        assert (await house.get(FIRST, hamlet.edition.kept.path)).status == 502
        assert (await house.get(SECOND, hamlet.edition.kept.path)).status == 200


class TestRedirects:
    async def test_ten_instants_of_one_root_are_one_download_and_a_cheap_question_each(
        self, house: House, hamlet: Hamlet
    ) -> None:
        """Requested by exact ids, which no bracket answers; each redirects to bytes that are stored."""
        ids = [later(FIRST, turn * SIX_HOURS) for turn in range(DUMPS)]
        proofs = [(await house.get(f"{when}.exact", INRELEASE)).served.proof.word for when in ids]
        assert proofs == ["gpg"] * DUMPS
        assert [each.path for each in hamlet.asked() if each.path.startswith("/file/")] == [
            f"/file/{hamlet.content(INRELEASE).sha1}"
        ]
        assert len(hamlet.asked()) == DUMPS + 1

    async def test_a_stored_blob_is_checked_again_if_it_is_a_root(self, house: House, hamlet: Hamlet) -> None:
        """A foreign InRelease, stored under another name, must not become a root through a redirect."""
        stray = Content(b"-----BEGIN PGP SIGNED MESSAGE-----\nnot a root\n", 1_717_200_000)
        hamlet.place(CHANGELOG, stray)
        assert (await house.get(FIRST, CHANGELOG)).data == stray.data
        hamlet.place(INRELEASE, stray)
        got = await house.get(FIRST, INRELEASE)
        assert got.status == 424
        assert house.store.catalog.names(f"roots:debian/{FIRST}") == []

    async def test_a_streaming_file_whose_bytes_are_stored_is_served_whole(self, house: House, hamlet: Hamlet) -> None:
        hamlet.place(CHANGELOG, Content(b"c" * 200_000, 1_717_200_000))
        await house.get(FIRST, CHANGELOG)
        await until(lambda: house.named(FIRST, CHANGELOG))
        hamlet.log.reset_counts()
        got = await house.get(f"{later(FIRST, SIX_HOURS)}.exact", CHANGELOG)
        assert (got.broke, got.data) == ("", b"c" * 200_000)
        assert [each.status for each in hamlet.asked()] == [302]

    async def test_bytes_that_are_not_those_the_redirect_named_are_refused(self, house: House, hamlet: Hamlet) -> None:
        """The service sometimes cuts files short under a 200; without an index, the address still names the digest."""
        content = Content(b"c" * 200_000, 1_717_200_000)
        hamlet.place(CHANGELOG, content)
        hamlet.past.fault(f"*{CHANGELOG}", Shorter())
        got = await house.get(FIRST, CHANGELOG)
        assert got.broke or got.status == 502
        assert not house.named(FIRST, CHANGELOG)


class TestBrackets:
    async def test_a_snapshot_between_two_equal_roots_needs_no_request_and_keeps_its_own_name(
        self, house: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        first, last = FIRST, later(FIRST, 9 * SIX_HOURS)
        for when in (first, last):
            await house.get(f"{when}.exact", INRELEASE)
        await house.get(FIRST, PACKAGES)
        await house.close()
        hamlet.log.reset_counts()
        heir = await make_house()
        between = later(FIRST, 4 * SIX_HOURS + 1234)
        for path in (INRELEASE, PACKAGES):
            got = await heir.get(between, path)
            assert (got.served.snapshot, got.served.requested) == (later(FIRST, 4 * SIX_HOURS), between)
        assert list(hamlet.log.entries) == []


class TestThrottling:
    """Cool-downs begin at twenty seconds here and double; the clock leaps over them."""

    MANNERS = replace(UNHURRIED, cool_down=20.0, cool_down_most=80.0)

    @pytest.fixture
    async def paced(self, make_house: MakeHouse) -> House:
        return await make_house(manners=self.MANNERS, patience=5.0)

    @pytest.mark.parametrize("status", [429, 503, 509])
    async def test_a_cool_down_costs_one_request_each_time_it_ends(
        self, paced: House, hamlet: Hamlet, status: int
    ) -> None:
        await paced.app.resolve("debian", FIRST)  # the timeline is known
        hamlet.past.fault("/archive/*", Status(status), times=3)
        for turn, pause in enumerate((20, 40, 80), 1):
            for got in await asyncio.gather(*(paced.get(FIRST, INRELEASE) for _ in range(5))):
                self.assert_cooling_down(got, hamlet, status, pause)
            paced.clock.leap(pause - 7)
            self.assert_cooling_down(await paced.get(FIRST, INRELEASE), hamlet, status, 7)
            assert len(hamlet.asked()) == turn
            paced.clock.leap(7)
        got = await paced.get(FIRST, INRELEASE)
        assert got.served.cache == "MISS"
        assert len(hamlet.asked()) == 3 + 2  # three refusals, then the redirect and the file

    @staticmethod
    def assert_cooling_down(got: Got, hamlet: Hamlet, status: int, seconds: int, *, code: int = 424) -> None:
        """Check that the refusal names the host, the cause and the time that is left, at once."""
        host = urlsplit(hamlet.past.url).netloc
        left = int(got.refusal.headers["Retry-After"])
        assert left == pytest.approx(seconds, abs=1)
        assert (got.status, got.refusal.reason) == (code, f"{host} answered {status}: next request in {left} s")
        assert f"{host} answered {status}, so snapproxy sends it no request until 2" in got.refusal.why

    async def test_a_client_is_told_at_once_if_the_cool_down_outlasts_its_timeout(
        self, paced: House, hamlet: Hamlet
    ) -> None:
        await paced.get(FIRST, INRELEASE)
        await paced.get(FIRST, PACKAGES)
        hamlet.log.reset_counts()
        old = hamlet.edition.old
        hamlet.past.fault("/archive/*", Status(429, {"Retry-After": "90"}), times=1)
        began = paced.clock.monotonic()
        self.assert_cooling_down(await paced.get(FIRST, old.path), hamlet, 429, 90, code=503)
        paced.clock.leap(82)
        self.assert_cooling_down(await paced.get(FIRST, old.path), hamlet, 429, 8, code=503)
        assert paced.clock.monotonic() - began < 82 + 5
        assert len(hamlet.asked(server="past")) == 1
        paced.clock.leap(9)
        assert (await paced.get(FIRST, old.path)).status == 200

    async def test_a_client_waits_up_to_its_timeout(self, paced: House, hamlet: Hamlet) -> None:
        await paced.app.resolve("debian", FIRST)
        hamlet.past.fault("/archive/*", Status(429, {"Retry-After": "4"}), times=1)
        asked = asyncio.create_task(paced.get(FIRST, INRELEASE))
        await until(lambda: paced.cool_downs(hamlet.past.url) == 1)
        assert not asked.done()
        paced.clock.leap(4.1)
        assert (await asked).served.proof.word == "gpg"

    async def test_a_mirror_with_a_long_cool_down_is_skipped(self, paced: House, hamlet: Hamlet) -> None:
        await paced.get(FIRST, INRELEASE)
        await paced.get(FIRST, PACKAGES)
        hamlet.log.reset_counts()
        hamlet.now.fault("*", Status(429, {"Retry-After": "600"}), times=1)
        for package in (hamlet.edition.kept, hamlet.edition.old):
            assert (await paced.get(FIRST, package.path)).status == 200
        assert len(hamlet.asked(server="now")) == 1

    async def test_a_mirror_that_cools_down_is_waited_for_if_no_other_source_has_the_file(
        self, paced: House, hamlet: Hamlet
    ) -> None:
        await paced.get(FIRST, INRELEASE)
        await paced.get(FIRST, PACKAGES)
        hamlet.now.fault("*", Status(429, {"Retry-After": "4"}), times=1)
        hamlet.past.fault("/archive/*", Status(404))
        paced.prefetch(FIRST, hamlet.edition.kept.path)
        await until(lambda: len(hamlet.asked(server="past")) >= 1)
        for _ in range(20):
            paced.clock.leap(0.5)
            await asyncio.sleep(0.01)
        await until(lambda: paced.named(FIRST, hamlet.edition.kept.path))

    async def test_a_timeline_names_the_cool_down_too(self, paced: House, hamlet: Hamlet) -> None:
        hamlet.past.fault("/mr/timestamp/*", Status(509, {"Retry-After": "0"}), times=1)
        self.assert_cooling_down(await paced.get(FIRST, INRELEASE), hamlet, 509, 20)
        paced.clock.leap(21.0)
        assert (await paced.get(FIRST, INRELEASE)).served.proof.word == "gpg"


async def test_connections_to_one_upstream_are_bounded(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(manners=RatePolicy(connections=2, rest=0.01, failure_cool_down_most=0.01))
    await house.get(FIRST, INRELEASE)
    await house.get(FIRST, PACKAGES)
    hamlet.now.fault("/debian/pool/*", Hold(after=1000, patience=0.3))
    hamlet.publish_now(FIRST)
    paths = [package.path for package in (hamlet.edition.kept, hamlet.edition.old)]
    outcomes = await asyncio.gather(*(house.ask(FIRST, path) for path in paths))
    await asyncio.gather(*(read(outcome) for outcome in outcomes))
    assert hamlet.now.busiest <= 2
