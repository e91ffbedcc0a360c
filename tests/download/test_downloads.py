"""One download with many readers, complete or visibly broken, resumed where it broke (rules 1, 2 and 4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from snapproxy.base.names import Names
from snapproxy.core.exchange import Served
from tests.fakes.content import Content
from tests.fakes.faults import Exchange, Fault, Hold, Reset, TooLong, Truncate, WrongBytes
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, Hamlet, content_of
from tests.fakes.house import House, read, until

MakeHouse = Callable[..., Awaitable[House]]
READERS = 20
BREAK = 100_000
LINGER = 0.1


@pytest.fixture
async def updated(house: House, hamlet: Hamlet) -> House:
    """A house whose client has the root and the index of FIRST; counters are zero."""
    await house.get(FIRST, INRELEASE)
    await house.get(FIRST, PACKAGES)
    hamlet.log.reset_counts()
    return house


@dataclass(frozen=True)
class HalfOfAnother:
    """Announces the file correctly, and sends half as many other bytes."""

    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        start, stop = exchange.send_head(exchange.answer)
        exchange.send(bytes((stop - start) // 2))
        time.sleep(LINGER)
        exchange.end()


@dataclass(frozen=True)
class RestOfAnother:
    """Sends the rest of another file as a 206, ignores If-Range, and names no validator."""

    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        size = exchange.answer.content.size
        start = int(getattr(exchange, "headers")["Range"].removeprefix("bytes=").removesuffix("-"))  # noqa: B009
        head = f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{size - 1}/{size}\r\n"
        exchange.send(f"{head}Content-Length: {size - start}\r\n\r\n".encode() + b"z" * (size - start))


@dataclass(frozen=True)
class InTurn:
    """Plays one fault after the other."""

    faults: list[Fault]
    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        self.faults.pop(0).play(exchange)


async def first_byte(outcome: object) -> Served:
    assert isinstance(outcome, Served), outcome
    async with asyncio.timeout(5):
        assert await outcome.body.wait(0) > 0
    return outcome


async def test_a_signed_root_arrives_with_its_proof(house: House, hamlet: Hamlet) -> None:
    got = await house.get(FIRST, INRELEASE)
    assert got.data == hamlet.content(INRELEASE).data
    assert (got.served.proof.word, got.served.cache, got.served.snapshot) == ("gpg", "MISS", FIRST)
    assert (await house.get(FIRST, INRELEASE)).served.cache == "HIT"
    assert len(hamlet.requests_for(INRELEASE)) == 2  # the redirect and its target, once


async def test_an_index_and_a_package_carry_the_chain_of_their_root(house: House, hamlet: Hamlet) -> None:
    index = await house.get(FIRST, PACKAGES)
    assert (index.data, index.served.proof.word) == (hamlet.content(PACKAGES).data, "gpg")
    package = await house.get(FIRST, hamlet.edition.kept.path)
    assert (package.data, package.served.proof.word) == (content_of(hamlet.edition.kept).data, "gpg")


class TestManyReaders:
    async def test_each_reads_the_first_byte_of_one_download_before_the_rest_is_sent(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        kept = hamlet.edition.kept
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=64 * 1024))
        outcomes = await asyncio.gather(*(updated.ask(FIRST, kept.path) for _ in range(READERS)))
        readers = [await first_byte(outcome) for outcome in outcomes]
        assert sorted({reader.cache for reader in readers}) == ["JOINED", "MISS"]
        hold.release()
        whole = await asyncio.gather(*(read(reader) for reader in readers))
        assert {got.data for got in whole} == {content_of(kept).data}
        assert len(hamlet.asked()) == 1

    async def test_two_processes_share_one_download(
        self, updated: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        kept, other = hamlet.edition.kept, await make_house()
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=64 * 1024))
        readers = [await first_byte(await each.ask(FIRST, kept.path)) for each in (updated, other)]
        hold.release()
        whole = await asyncio.gather(*(read(reader) for reader in readers))
        assert {got.data for got in whole} == {content_of(kept).data}
        assert len(hamlet.asked()) == 1

    async def test_a_root_in_two_processes_is_one_download(
        self, house: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        other = await make_house()
        hold = hamlet.past.fault("*InRelease", Hold(after=100))
        first = asyncio.create_task(house.get(FIRST, INRELEASE))
        await until(hold.reached.is_set)
        second = asyncio.create_task(other.get(FIRST, INRELEASE))
        await asyncio.sleep(0.1)  # by now the second follows the first's draft, which nothing outside tells
        hold.release()
        got = await asyncio.gather(first, second)
        assert [each.served.proof.word for each in got] == ["gpg", "gpg"]
        assert len(hamlet.requests_for(INRELEASE)) == 2

    async def test_one_that_leaves_does_not_affect_the_others(self, updated: House, hamlet: Hamlet) -> None:
        kept = hamlet.edition.kept
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=64 * 1024))
        leaves, stays = [await first_byte(await updated.ask(FIRST, kept.path)) for _ in range(2)]
        leaves.body.close()
        hold.release()
        assert (await read(stays)).data == content_of(kept).data

    async def test_one_that_leaves_before_the_head_does_not_affect_the_others(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        kept = hamlet.edition.kept
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=None))
        leaves, stays = (asyncio.create_task(updated.get(FIRST, kept.path)) for _ in range(2))
        await until(hold.reached.is_set)
        leaves.cancel()
        hold.release()
        assert (await stays).data == content_of(kept).data
        assert len(hamlet.asked()) == 1

    async def test_all_may_leave_and_the_download_is_finished_and_named(self, updated: House, hamlet: Hamlet) -> None:
        kept = hamlet.edition.kept
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=64 * 1024))
        (await first_byte(await updated.ask(FIRST, kept.path))).body.close()
        hold.release()
        await until(lambda: updated.named(FIRST, kept.path))
        assert (await updated.get(FIRST, kept.path)).served.cache == "HIT"
        assert len(hamlet.asked()) == 1

    async def test_a_failed_download_is_broken_off_for_every_reader(self, updated: House, hamlet: Hamlet) -> None:
        kept = hamlet.edition.kept
        for server in (hamlet.now, hamlet.past):
            server.fault("*", Truncate(BREAK, LINGER))
        readers = await asyncio.gather(*(updated.ask(FIRST, kept.path) for _ in range(READERS)))
        ends = await asyncio.gather(*(read(reader) for reader in readers))
        assert all(end.broke or end.status == 502 for end in ends), {(end.status, end.broke) for end in ends}
        assert all(len(end.data) < content_of(kept).size for end in ends)


class TestWrongBytes:
    async def test_of_a_mirror_cut_the_reader_and_its_retry_goes_to_the_next_source(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        """No client repeats a request for 15 seconds: dnf gives up after a third of a second, apt after seven."""
        kept = hamlet.edition.kept
        hamlet.now.fault(f"*/{kept.path}", WrongBytes())
        cut = await updated.get(FIRST, kept.path)
        assert cut.broke
        assert len(cut.data) < content_of(kept).size
        assert not hamlet.past.requests()
        whole = await updated.get(FIRST, kept.path)
        assert (whole.status, whole.broke, whole.data) == (200, "", content_of(kept).data)
        assert len(hamlet.now.requests()) == 1  # the mirror was skipped
        assert whole.served.date is None  # so that a client does not continue the mirror's bytes (If-Range)

    async def test_of_every_source_are_told_for_15_seconds(self, updated: House, hamlet: Hamlet) -> None:
        kept = hamlet.edition.kept
        for server in (hamlet.now, hamlet.past):
            server.fault(f"*/{kept.path}", WrongBytes())
        for _ in range(2):  # the mirror, then the archive itself
            got = await updated.get(FIRST, kept.path)
            assert got.broke or got.status == 502
        await until(lambda: not updated.app.executor._downloads._flights)
        asked = len(hamlet.asked())
        updated.clock.leap(14.0)
        told = await updated.get(FIRST, kept.path)
        assert (told.status, told.refusal.reason) == (502, "Upstream sent wrong bytes: sha256 differs")
        assert len(hamlet.asked()) == asked
        updated.clock.leap(1.1)
        await updated.get(FIRST, kept.path)
        assert len(hamlet.asked()) > asked

    async def test_without_a_reader_send_the_flight_to_the_next_source(self, updated: House, hamlet: Hamlet) -> None:
        kept = hamlet.edition.kept
        hamlet.now.fault(f"*/{kept.path}", WrongBytes())
        updated.prefetch(FIRST, kept.path)
        await until(lambda: updated.named(FIRST, kept.path))
        assert (await updated.get(FIRST, kept.path)).data == content_of(kept).data

    async def test_of_an_index_are_never_served_and_the_next_source_is_asked_immediately(
        self, house: House, hamlet: Hamlet
    ) -> None:
        await house.get(FIRST, INRELEASE)
        hamlet.publish_now(FIRST)
        hamlet.now.fault("*", WrongBytes(at=10))
        got = await house.get(FIRST, PACKAGES)
        assert (got.status, got.broke, got.data) == (200, "", hamlet.content(PACKAGES).data)
        assert len(hamlet.now.requests()) == 1

    async def test_of_every_source_refuse_an_index_with_424(self, house: House, hamlet: Hamlet) -> None:
        await house.get(FIRST, INRELEASE)
        for server in (hamlet.now, hamlet.past):
            server.fault("*Packages*", WrongBytes(at=10))
            server.fault("*by-hash*", WrongBytes(at=10))
        got = await house.get(FIRST, PACKAGES)
        assert (got.status, got.refusal.reason) == (424, "Upstream sent wrong bytes: sha256 differs")
        assert not house.named(FIRST, PACKAGES)

    async def test_a_wrong_size_is_seen_at_the_head_and_no_byte_is_taken(self, updated: House, hamlet: Hamlet) -> None:
        kept = hamlet.edition.kept
        received = updated.app.tally.upstream_bytes
        hamlet.now.fault(f"*/{kept.path}", TooLong())
        got = await updated.get(FIRST, kept.path)
        assert got.data == content_of(kept).data
        assert received[hamlet.now.url.removeprefix("http://")] == 0

    async def test_that_follow_another_source_s_are_asked_for_again_from_the_first(
        self, house: House, hamlet: Hamlet
    ) -> None:
        """A mirror sent wrong bytes and broke; the service is right, and the mixture must not count against it."""
        await house.get(FIRST, INRELEASE)
        hamlet.publish_now(FIRST)
        hamlet.now.fault("*", HalfOfAnother())
        got = await house.get(FIRST, PACKAGES)
        assert (got.status, got.data) == (200, hamlet.content(PACKAGES).data)


class TestResuming:
    @pytest.mark.parametrize("fault", [Reset(BREAK, LINGER), Truncate(BREAK, LINGER), Hold(after=BREAK, patience=1)])
    async def test_goes_on_where_the_download_broke(self, updated: House, hamlet: Hamlet, fault: object) -> None:
        kept = hamlet.edition.kept
        hamlet.now.fault(f"*/{kept.path}", fault, times=1)  # type: ignore[type-var]
        got = await updated.get(FIRST, kept.path)
        assert (got.broke, got.data) == ("", content_of(kept).data)
        first, second = hamlet.now.requests()
        assert "range" not in first.headers
        start = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
        assert 0 < start <= BREAK
        assert second.headers["if-range"] == hamlet.now.etag(content_of(kept))
        assert (second.status, second.sent) == (206, content_of(kept).size - start)

    async def test_a_part_without_its_validator_is_not_joined_to_bytes_that_a_client_has_read(
        self, house: House, hamlet: Hamlet
    ) -> None:
        """Nothing would notice the mixture, so the client's connection is cut."""
        path = "pool/main/k/kept/kept_1.changelog"
        content = Content(b"a" * 200_000, 1_717_200_000)
        hamlet.place(path, content, SECOND)
        answers: list[Fault] = [Truncate(BREAK, LINGER), RestOfAnother()]
        hamlet.now.fault(f"*{path}", InTurn(answers), times=2)
        got = await house.get("live", path)
        assert answers == []
        assert got.broke
        assert b"z" not in got.data

    async def test_a_part_without_its_validator_starts_the_download_again(
        self, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        house = await make_house(rows=(replace(hamlet.row, keyrings=()),))
        answers: list[Fault] = [Truncate(700, LINGER), RestOfAnother()]
        hamlet.now.fault(f"*{RELEASE}", InTurn(answers), times=2)
        got = await house.get("live", RELEASE)
        assert (got.status, got.data) == (200, hamlet.content(RELEASE, SECOND).data)
        ranges = [each.headers.get("range", "")[:6] for each in hamlet.now.requests(f"/debian/{RELEASE}")]
        assert ranges[:3] == ["", "bytes=", ""]

    async def test_a_listed_file_is_resumed_from_another_source_whatever_its_validator(
        self, updated: House, hamlet: Hamlet
    ) -> None:
        """A validator is valid at its own server: sent to another, it would request the whole file again."""
        kept = hamlet.edition.kept
        hamlet.now.fault(f"*/{kept.path}", Truncate(BREAK, LINGER))
        got = await updated.get(FIRST, kept.path)
        assert (got.broke, got.data) == ("", content_of(kept).data)
        resumed = hamlet.past.requests(f"/file/{content_of(kept).sha1}")
        assert [each.status for each in resumed] == [206]
        assert "if-range" not in resumed[0].headers

    async def test_an_unlisted_file_that_changed_fails_rather_than_mixes(self, house: House, hamlet: Hamlet) -> None:
        path = "pool/main/k/kept/kept_1.changelog"
        before, after = (Content(letter * 200_000, 1_717_200_000) for letter in (b"a", b"b"))
        hamlet.place(path, before)
        hamlet.past.fault(f"*{path}", Truncate(BREAK, linger=0.3), times=1)
        outcome = await house.ask(FIRST, path)
        served = await first_byte(outcome)
        hamlet.place(path, after)
        end = await read(served)
        assert end.broke
        assert set(end.data) <= {ord("a")}

    async def test_the_bytes_of_a_dead_process_are_resumed_if_an_index_lists_the_file(
        self, updated: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        kept = hamlet.edition.kept
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=200_000), times=1)
        served = await first_byte(await updated.ask(FIRST, kept.path))
        while await served.body.wait(0) < 150_000:
            await asyncio.sleep(0.01)
        served.body.close()
        await updated.close()
        hold.release()
        hamlet.log.reset_counts()
        heir = await make_house()
        got = await heir.get(FIRST, kept.path)
        assert got.data == content_of(kept).data
        assert [each.status for each in hamlet.now.requests()] == [206]
        assert hamlet.now.bytes_sent() < 160_000

    async def test_a_file_whose_last_byte_was_sent_is_recorded_before_the_process_ends(
        self, make_house: MakeHouse, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, recording, go = "pool/main/k/kept/kept_1.changelog", asyncio.Event(), asyncio.Event()
        hamlet.place(path, Content(b"unlisted", 1_717_200_000))
        put_date = Names.put_date

        async def put_date_later(self: Names, digest: str, date: int) -> None:
            recording.set()
            await go.wait()
            await put_date(self, digest, date)

        house = await make_house()
        await house.get(FIRST, INRELEASE)
        monkeypatch.setattr(Names, "put_date", put_date_later)
        assert (await house.get(FIRST, path)).data == b"unlisted"
        await recording.wait()
        closing = asyncio.create_task(house.close())
        await asyncio.sleep(0.05)  # by now everything that receives bytes was cancelled
        go.set()
        await closing
        hamlet.log.reset_counts()
        restarted = await make_house(offline=True)
        assert (await restarted.get(FIRST, path)).data == b"unlisted"
        assert hamlet.asked() == []

    async def test_the_bytes_of_a_dead_process_are_discarded_if_no_index_lists_the_file(
        self, house: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        path = "pool/main/k/kept/kept_1.changelog"
        hamlet.place(path, Content(b"c" * 200_000, 1_717_200_000))
        hold = hamlet.past.fault(f"*{path}", Hold(after=100_000), times=1)
        served = await first_byte(await house.ask(FIRST, path))
        served.body.close()
        await house.close()
        hold.release()
        hamlet.log.reset_counts()
        got = await (await make_house()).get(FIRST, path)
        assert got.data == b"c" * 200_000
        assert all("range" not in each.headers for each in hamlet.past.requests())

    async def test_damaged_bytes_of_a_dead_process_are_discarded_and_no_source_is_skipped(
        self, updated: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        kept = hamlet.edition.kept
        hold = hamlet.now.fault(f"*/{kept.path}", Hold(after=200_000), times=1)
        served = await first_byte(await updated.ask(FIRST, kept.path))
        while await served.body.wait(0) < 150_000:
            await asyncio.sleep(0.01)
        served.body.close()
        await updated.close()
        hold.release()
        draft = next(path for path in (updated.folder / "state/drafts").iterdir() if path.stat().st_size > 100_000)
        with draft.open("r+b") as file:
            file.write(b"\0" * 1000)
        heir = await make_house()
        heir.prefetch(FIRST, kept.path)
        await until(lambda: heir.named(FIRST, kept.path))
        assert (await heir.get(FIRST, kept.path)).data == content_of(kept).data
        assert not hamlet.past.requests("/file/")


async def test_nothing_is_left_of_a_failed_download(updated: House, hamlet: Hamlet) -> None:
    kept = hamlet.edition.kept
    for server in (hamlet.now, hamlet.past):
        server.fault("*", WrongBytes())
    await updated.get(FIRST, kept.path)
    await until(lambda: not updated.drafts)


async def test_a_root_that_is_stored_and_not_yet_named_is_not_downloaded_again(
    make_house: MakeHouse, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its draft ends when its bytes are stored; a process that asks before its name is written finds neither."""
    one, other = await make_house(), await make_house()
    names, may_name, is_naming = one.store.catalog, asyncio.Event(), asyncio.Event()
    put_name = names.put_name

    async def late(*name: Any, **options: Any) -> None:
        is_naming.set()
        await may_name.wait()
        await put_name(*name, **options)

    monkeypatch.setattr(names, "put_name", late)
    first = asyncio.create_task(one.get(FIRST, INRELEASE))
    await is_naming.wait()
    second = asyncio.create_task(other.get(FIRST, INRELEASE))
    await asyncio.sleep(0.3)
    may_name.set()
    assert [(await each).status for each in (first, second)] == [200, 200]
    assert len(hamlet.requests_for(INRELEASE)) == 2, "the redirect and its target, once"
