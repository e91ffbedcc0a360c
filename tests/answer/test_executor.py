"""The outcome of every fault, by the kind of the affected file; and of evicted files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from snapproxy.core.model import Archive, Refusal
from snapproxy.core.resolve import MAX_WINDOWS
from tests.fakes.content import Content, epoch, stamp
from tests.fakes.faults import (
    Fault,
    Hold,
    Html,
    Redirect,
    Replace,
    Reset,
    Status,
    TooLong,
    Truncate,
    WrongBytes,
)
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, Hamlet, content_of, later
from tests.fakes.house import UNHURRIED, House, until

MakeHouse = Callable[..., Awaitable[House]]

FAULTS: dict[str, Callable[[], Fault]] = {
    "403": lambda: Status(403),
    "404": lambda: Status(404),
    "410": lambda: Status(410),
    "451": lambda: Status(451),
    "429": lambda: Status(429, {"Retry-After": "60"}),
    "500": lambda: Status(500),
    "503": lambda: Status(503),
    "509": lambda: Status(509, {"Retry-After": "0"}),
    "HTML": Html,
    "loop": Redirect,
    "foreign": lambda: Redirect("http://192.0.2.1/"),
    "reset": Reset,
    "reset in the body": lambda: Reset(100, 0.05),
    "cut": lambda: Truncate(100, 0.05),
    "too long": TooLong,
    "one byte changed": lambda: WrongBytes(at=300),
    "other content": lambda: Replace(Content(b"nothing of the kind\n" * 40)),
    "silence": lambda: Hold(after=None, patience=3),
}

THROTTLING = ("429", "503", "509")
"""Faults that begin a cool-down of a minute, which no client waits for."""

ROOT = {
    "403": (424, "Upstream refuses access to this file (403)"),
    "404": (404, "Not in the archive at that time"),
    "410": (404, "Not in the archive at that time"),
    "451": (424, "Upstream refuses access to this file (451)"),
    "429": (424, "HOST answered STATUS: next request in 60 s"),
    "500": (424, "HOST answered 500"),
    "503": (424, "HOST answered STATUS: next request in 60 s"),
    "509": (424, "HOST answered STATUS: next request in 60 s"),
    "HTML": (424, "Upstream sent a web page instead of the file"),
    "loop": (424, "Upstream redirected in a loop"),
    "foreign": (424, "That host is not among the archive's upstreams"),
    "reset": (424, "HOST reset the connection"),
    "reset in the body": (424, "HOST cut an answer short"),  # aiohttp reports it so
    "cut": (424, "HOST cut an answer short"),
    "too long": (424, "Upstream sent wrong bytes: sha1 differs"),
    "one byte changed": (424, "Upstream sent wrong bytes: sha1 differs"),
    "other content": (424, "Upstream sent wrong bytes: sha1 differs"),
    "silence": (424, "HOST timed out"),
}

INDEX = ROOT | {
    "404": (424, "The index lists this file, but no source has it"),
    "410": (424, "The index lists this file, but no source has it"),
    "too long": (424, "Upstream's file does not have the size that the index lists"),
    "one byte changed": (424, "Upstream sent wrong bytes: sha256 differs"),
    "other content": (424, "Upstream's file does not have the size that the index lists"),
}

PACKAGE = INDEX | {
    "403": (502, "Upstream refuses access to this file (403)"),
    "404": (502, "The index lists this file, but no source has it"),
    "410": (502, "The index lists this file, but no source has it"),
    "451": (502, "Upstream refuses access to this file (451)"),
    "429": (503, "HOST answered STATUS: next request in 60 s"),
    "500": (502, "HOST answered 500"),
    "503": (503, "HOST answered STATUS: next request in 60 s"),
    "509": (503, "HOST answered STATUS: next request in 60 s"),
    "HTML": (502, "Upstream sent a web page instead of the file"),
    "loop": (502, "Upstream redirected in a loop"),
    "foreign": (502, "That host is not among the archive's upstreams"),
    "reset": (504, "HOST reset the connection"),
    "reset in the body": (502, "HOST cut an answer short"),
    "cut": (502, "HOST cut an answer short"),
    "too long": (502, "Upstream's file does not have the size that the index lists"),
    "one byte changed": (502, "Upstream sent wrong bytes: sha256 differs"),
    "other content": (502, "Upstream's file does not have the size that the index lists"),
    "silence": (504, "HOST timed out"),
}

TABLE = [(role, fault) for role in ("root", "index", "package") for fault in FAULTS]
"""The fault is on the snapshot service, which alone has the file."""


@pytest.mark.parametrize(("role", "fault"), TABLE, ids=[f"{role}, {fault}" for role, fault in TABLE])
async def test_every_fault_of_the_last_source_is_told(
    make_house: MakeHouse, hamlet: Hamlet, role: str, fault: str
) -> None:
    house = await make_house(patience=10, manners=replace(UNHURRIED, cool_down=60.0, cool_down_most=60.0))
    path, expected = {
        "root": (INRELEASE, ROOT),
        "index": (PACKAGES, INDEX),
        "package": (hamlet.edition.old.path, PACKAGE),
    }[role]
    for before in {"root": [], "index": [INRELEASE], "package": [INRELEASE, PACKAGES]}[role]:
        assert (await house.get(FIRST, before)).status == 200
    await house.app.resolve("debian", FIRST)
    played = hamlet.past.fault(f"*{path}", FAULTS[fault]())
    asked = asyncio.create_task(house.get(FIRST, path))
    got = await asked
    if got.broke:  # a package whose first bytes were sent: it is cut, and the retry gets the reason
        assert role == "package"
        assert len(got.data) < content_of(hamlet.edition.old).size
        got = await house.get(FIRST, path)
    if isinstance(played, Hold):
        played.release()
    refusal = got.refusal
    host = urlsplit(hamlet.past.url).netloc
    status, reason = expected[fault]
    assert (refusal.status, refusal.reason) == (status, reason.replace("HOST", host).replace("STATUS", fault))
    assert fault not in THROTTLING or refusal.headers["Retry-After"] == "60"
    assert refusal.reason.isascii()
    assert len(refusal.reason) <= 80
    assert role == "package" or refusal.status in (404, 424)
    assert not house.named(FIRST, path)


async def test_a_store_that_fails_is_told_as_its_own_fault(
    house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snapproxy_storage import StorageFailure  # noqa: PLC0415

    await house.get(FIRST, INRELEASE)

    def failing(*_: object, **__: object) -> None:
        raise StorageFailure("the disk is on fire")

    monkeypatch.setattr(house.store.blobs, "peek", failing)
    root, package = await house.get(FIRST, INRELEASE), await house.get(FIRST, hamlet.edition.kept.path)
    assert [got.refusal.reason for got in (root, package)] == ["The store of snapproxy failed"] * 2
    assert (root.status, package.status) == (424, 500)


async def test_an_archive_with_nobody_to_ask_says_so(make_house: MakeHouse, hamlet: Hamlet) -> None:
    row = replace(hamlet.row, history="any-instant", snapshot=(), mirrors=())
    house = await make_house(rows=(row,))
    got = await house.get(FIRST, INRELEASE)
    assert (got.status, got.refusal.reason) == (424, "No upstream is configured for this archive and time")


class TestOffline:
    async def test_what_is_held_is_served_and_the_rest_refused(self, make_house: MakeHouse, hamlet: Hamlet) -> None:
        online = await make_house()
        for path in (INRELEASE, PACKAGES, hamlet.edition.kept.path):
            await online.get(FIRST, path)
        await until(lambda: online.named(FIRST, hamlet.edition.kept.path))
        await online.close()
        hamlet.log.reset_counts()
        house = await make_house(offline=True)
        for path in (INRELEASE, PACKAGES, hamlet.edition.kept.path):
            assert (await house.get(FIRST, path)).served.cache == "HIT"
        for path in (hamlet.edition.old.path, "dists/other/InRelease"):
            got = await house.get(FIRST, path)
            assert (got.status, got.refusal.reason) == (424, "Offline: this file is not in the store")
        assert (await house.get("20200101T000000Z", INRELEASE)).status == 424
        assert list(hamlet.log.entries) == []


class TestEviction:
    @pytest.fixture
    async def full(self, house: House, hamlet: Hamlet) -> House:
        """A process with a stored root, index and package of FIRST."""
        for path in (INRELEASE, PACKAGES, hamlet.edition.kept.path):
            await house.get(FIRST, path)
        await until(lambda: house.named(FIRST, hamlet.edition.kept.path))
        return house

    @pytest.mark.parametrize("which", [0, 1, 2], ids=["root", "index", "package"])
    async def test_a_blob_that_is_gone_is_fetched_again(self, full: House, hamlet: Hamlet, which: int) -> None:
        path = (INRELEASE, PACKAGES, hamlet.edition.kept.path)[which]
        full.evict(hamlet.content(path).sha256)
        got = await full.get(FIRST, path)
        assert (got.data, got.served.cache, got.served.proof.word) == (hamlet.content(path).data, "MISS", "gpg")
        await until(lambda: not full.drafts)
        assert (await full.get(FIRST, path)).served.cache == "HIT"

    async def test_an_index_that_is_gone_with_its_table_is_fetched_again_for_its_packages(
        self, full: House, make_house: MakeHouse, hamlet: Hamlet
    ) -> None:
        """All derived data are deleted, and so are the blobs of root and index: the index still lists the package."""
        await full.close()
        for path in (INRELEASE, PACKAGES):
            full.evict(hamlet.content(path).sha256)
        for table in (full.folder / "cache/tables").rglob("*"):
            if table.is_file():
                table.unlink()
        heir = await make_house()
        assert (await heir.get(FIRST, PACKAGES)).served.proof.word == "gpg"
        assert (await heir.get(FIRST, hamlet.edition.old.path)).served.proof.word == "gpg"

    @pytest.mark.parametrize("path", [INRELEASE, RELEASE, SIGNATURE, "README"])
    async def test_a_live_file_that_is_gone_is_fetched_again_though_it_has_not_changed(
        self, house: House, hamlet: Hamlet, path: str
    ) -> None:
        hamlet.place("README", Content(b"An archive\n", epoch(SECOND)), SECOND)
        await house.get("live", RELEASE)
        first = await house.get("live", path)
        await until(lambda: not house.drafts)
        house.evict(hashlib.sha256(first.data).hexdigest())
        assert (await house.get("live", path)).data == first.data

    async def test_a_name_without_proof_gives_way_to_a_promise_that_came_later(
        self, house: House, hamlet: Hamlet
    ) -> None:
        """A package is requested before its index: unlisted at first, and from the archive of that time alone."""
        path = hamlet.edition.kept.path
        early = await house.get(FIRST, path)
        assert (early.served.proof.word, {each.service for each in hamlet.asked()}) == ("none", {"past"})
        await until(lambda: house.named(FIRST, path))
        await house.get(FIRST, INRELEASE)
        await house.get(FIRST, PACKAGES)
        hamlet.log.reset_counts()
        late = await house.get(FIRST, path)
        assert (late.served.proof.word, late.served.cache, hamlet.asked()) == ("gpg", "HIT", [])


async def test_an_instant_in_a_sparse_timeline_is_answered_within_the_rounds(
    house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive with three dumps in fifteen years: finding them takes the largest number of windows."""
    tree = hamlet.edition.trees[FIRST]
    for when in list(hamlet.timeline.ids):
        hamlet.timeline.withdraw(when)
    for when in (1286903495, 1459467824, 1580437381):
        hamlet.timeline.publish(stamp(when), tree)
    got = await house.get("20120127T073154Z", INRELEASE)
    assert got.status == 410
    windows = len(hamlet.past.requests("/mr/timestamp"))
    assert 6 <= windows <= MAX_WINDOWS
    assert isinstance(await house.app.resolve("debian", "20130101T000000Z"), Refusal)


async def test_nearest_is_answered_and_latest_refused(house: House) -> None:
    assert (await house.get(f"{FIRST}.nearest", INRELEASE)).served.snapshot == FIRST
    assert (await house.get("latest", INRELEASE)).refusal.reason.startswith("latest is not a fixed time")


async def test_two_archives_share_bytes_and_flights(make_house: MakeHouse, hamlet: Hamlet) -> None:
    other: Archive = replace(hamlet.row, name="mine", hosts=())
    house = await make_house(rows=(hamlet.row, other))
    for row in (0, 1):
        for path in (INRELEASE, PACKAGES):
            assert (await house.get(FIRST, path, row=row)).served.proof.word == "gpg"
    await house.get(FIRST, hamlet.edition.kept.path)
    await until(lambda: not house.drafts)
    hamlet.log.reset_counts()
    got = await house.get(FIRST, hamlet.edition.kept.path, row=1)
    assert (got.served.archive, got.served.cache, hamlet.asked()) == ("mine", "HIT", [])


async def test_dates_are_those_of_first_sight(house: House, hamlet: Hamlet) -> None:
    root, package = await house.get(FIRST, INRELEASE), await house.get(FIRST, hamlet.edition.kept.path)
    assert root.served.date == epoch(FIRST)
    assert package.served.date == content_of(hamlet.edition.kept).modified
    again = await house.get(f"{later(FIRST, 6 * 3600)}.exact", INRELEASE)
    assert again.served.date == epoch(FIRST)
    assert (await house.get(SECOND, INRELEASE)).served.date == epoch(SECOND)
