"""Recorded answers are replayed without upstream, and everything else is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from snapproxy.capture.notes import note_valid
from snapproxy.capture.replay import Replay
from snapproxy.core.exchange import PassTarget
from snapproxy_storage import StorageFailure
from tests.fakes.content import epoch
from tests.fakes.descriptors import open_descriptors
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, Hamlet, later
from tests.fakes.house import House
from tests.fakes.present import by_hash

MakeHouse = Callable[..., Awaitable[House]]
AT = later(FIRST, 3600)
ABSENT = "dists/stable/main/i18n/Translation-en.xz"


@pytest.fixture
async def recorded(make_house: MakeHouse, hamlet: Hamlet) -> Hamlet:
    house = await make_house()
    for path in (
        INRELEASE,
        RELEASE,
        SIGNATURE,
        by_hash(hamlet.edition.trees[FIRST], PACKAGES),
        hamlet.edition.kept.path,
        ABSENT,
    ):
        await house.get(AT, path, capture="build")
    span = epoch(FIRST), epoch(AT) + 3600
    (await house.app.captures.open("build")).add(note_valid("debian", AT, span))  # as earlier versions recorded it
    await house.close()
    hamlet.log.reset_counts()
    return hamlet


@pytest.fixture
async def offline(make_house: MakeHouse, recorded: Hamlet) -> House:
    return await make_house(offline=True)


async def test_everything_recorded_is_answered_as_it_was(offline: House, hamlet: Hamlet) -> None:
    for path in (INRELEASE, RELEASE, SIGNATURE, PACKAGES):
        got = await offline.get(AT, path, capture="build")
        assert (got.status, got.data) == (200, hamlet.content(path).data), path
        assert (got.served.snapshot, got.served.requested) == (FIRST, AT)
    assert (await offline.get(AT, hamlet.edition.kept.path, capture="build")).proof == "gpg"
    assert (await offline.get(AT, ABSENT, capture="build")).status == 404
    assert list(hamlet.log.entries) == []


async def test_answers_of_the_archive_s_own_interface_are_answered_too(make_house: MakeHouse, hamlet: Hamlet) -> None:
    sha1 = hamlet.content(PACKAGES).sha1
    calls = [("/mr/binary/kept/", "", "live"), (f"/file/{sha1}", sha1, "always")]
    house = await make_house()
    given = [await house.call(path, named, "calls") for path, named, _ in calls]
    await house.close()
    offline = await make_house(offline=True)
    for (path, named, snapshot), first in zip(calls, given, strict=True):
        got = await offline.call(path, named, "calls")
        assert (got.status, got.data) == (200, first.data)
        assert (got.served.archive, got.served.snapshot, got.proof) == ("debian", snapshot, first.proof)


@pytest.mark.parametrize("algorithm", ["SHA256", "MD5Sum"])
async def test_an_index_is_found_by_any_of_its_digests(offline: House, hamlet: Hamlet, algorithm: str) -> None:
    content = hamlet.content(PACKAGES)
    digest = content.digests["sha256" if algorithm == "SHA256" else "md5"]
    path = f"{PACKAGES.rpartition('/')[0]}/by-hash/{algorithm}/{digest}"
    assert (await offline.get(AT, path, capture="build")).data == content.data
    other = await offline.get(AT, path[:-1] + ("0" if path[-1] != "0" else "1"), capture="build")
    assert other.status == 424


async def test_any_instant_with_the_same_answers_is_answered(offline: House, hamlet: Hamlet) -> None:
    assert (await offline.get(later(FIRST, 7200), INRELEASE, capture="build")).data == hamlet.content(INRELEASE).data
    assert (await offline.get(SECOND, INRELEASE, capture="build")).status == 424


async def test_what_is_missing_is_named_with_the_capture(offline: House, hamlet: Hamlet) -> None:
    got = await offline.get(AT, hamlet.edition.old.path, capture="build")
    assert got.status == 424
    assert "The capture build has no" in got.refusal.why
    unknown = await offline.get(AT, INRELEASE, capture="other")
    assert (unknown.status, unknown.refusal.reason) == (424, "Offline: no capture has that name")


async def test_bytes_that_are_gone_are_named(offline: House, hamlet: Hamlet) -> None:
    offline.evict(hamlet.content(RELEASE).sha256)
    got = await offline.get(AT, RELEASE, capture="build")
    assert (got.status, got.refusal.reason) == (424, "The recorded bytes are not in the store")


async def test_a_client_with_a_newer_root_is_refused(offline: House) -> None:
    got = await offline.get(AT, INRELEASE, since=epoch(SECOND), capture="build")
    assert got.status == 409


async def test_nothing_passes_offline(offline: House) -> None:
    refusal = await offline.app.answerer.passing(PassTarget("git.example", 80, "/"))
    assert refusal is not None
    assert refusal.status == 424


async def test_a_body_is_closed_if_the_date_of_its_root_cannot_be_read(
    offline: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> bytes:
        raise StorageFailure("the disk does not answer")

    monkeypatch.setattr(Replay, "_read", failing)
    await offline.get(AT, PACKAGES, capture="build")  # opens the files of the catalog
    before = open_descriptors()
    got = await offline.get(AT, INRELEASE, capture="build")
    assert got.status == 424
    assert open_descriptors() == before
