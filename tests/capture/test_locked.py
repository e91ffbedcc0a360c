"""A replayed lock: only its recorded bytes are served, from the store, or refetched from the recorded snapshots."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.capture.lock import encode
from snapproxy.capture.lock_reader import decode
from snapproxy.capture.record_diff import compare
from snapproxy.capture.replay import Replayed
from snapproxy.cli import times
from snapproxy.core.model import Resolved
from snapproxy.core.record import Record
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ArchiveDataError
from tests.fakes.content import epoch
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, content_of, later
from tests.fakes.house import House
from tests.fakes.present import by_hash

MakeHouse = Callable[..., Awaitable[House]]
AT = later(FIRST, 3600)
ABSENT = "dists/stable/main/i18n/Translation-en.xz"


def record_of(lock: bytes) -> Replayed:
    return Replayed(decode(lock), "The lock build.json")


@pytest.fixture
async def lock(make_house: MakeHouse, hamlet: Hamlet) -> bytes:
    house = await make_house()
    for path in (INRELEASE, by_hash(hamlet.edition.trees[FIRST], PACKAGES), hamlet.edition.kept.path, ABSENT):
        await house.get(AT, path, capture="build")
    record = await house.app.answered("build")
    await house.close()
    hamlet.log.reset_counts()
    return encode(record)


@pytest.fixture
async def elsewhere(make_house: MakeHouse, lock: bytes, tmp_path: Path) -> House:
    """A server with an empty store that replays the lock and may refetch from upstream."""
    return await make_house(folder=tmp_path / "elsewhere", replayed=record_of(lock))


def changed(lock: bytes, path: str, **other: object) -> Replayed:
    """Return the lock with other values for a file."""
    record = decode(lock)
    entries = tuple(replace(each, **other) if each.path == path else each for each in record.entries)
    return Replayed(replace(record, entries=entries), "The lock build.json")


async def test_what_the_store_has_is_answered_without_asking(
    make_house: MakeHouse, lock: bytes, hamlet: Hamlet
) -> None:
    house = await make_house(replayed=record_of(lock))
    for path in (INRELEASE, PACKAGES):
        assert (await house.get(AT, path)).data == hamlet.content(path).data
    assert (await house.get(AT, ABSENT)).status == 404
    assert list(hamlet.log.entries) == []


async def test_what_the_store_lacks_is_brought_from_the_snapshot_of_the_lock(elsewhere: House, hamlet: Hamlet) -> None:
    for path in (INRELEASE, PACKAGES):
        got = await elsewhere.get(AT, path)
        assert (got.data, got.proof) == (hamlet.content(path).data, "gpg")
    got = await elsewhere.get(AT, hamlet.edition.kept.path)
    assert (got.data, got.served.cache) == (content_of(hamlet.edition.kept).data, "MISS")
    assert not [each for each in hamlet.log.entries if "timestamp" in each.path], "the lock says which snapshot it was"
    assert (await elsewhere.get(AT, hamlet.edition.kept.path)).served.cache == "HIT"


async def test_a_package_is_brought_from_the_mirror(elsewhere: House, hamlet: Hamlet) -> None:
    await elsewhere.get(AT, PACKAGES)
    await elsewhere.get(AT, hamlet.edition.kept.path)
    assert {each.service for each in hamlet.asked("kept_")} == {"now"}


async def test_what_the_lock_lacks_is_refused_though_it_could_be_had(
    make_house: MakeHouse, lock: bytes, hamlet: Hamlet
) -> None:
    house = await make_house(replayed=record_of(lock))
    for when, path in ((AT, hamlet.edition.old.path), (SECOND, INRELEASE), ("live", INRELEASE)):
        got = await house.get(when, path)
        assert got.status == 424
        assert got.refusal.why.startswith(f"The lock build.json has no {path} of debian at ")
    assert list(hamlet.log.entries) == []


@pytest.mark.parametrize("path", [INRELEASE, PACKAGES])
async def test_other_bytes_than_the_locks_are_never_served(
    make_house: MakeHouse, lock: bytes, tmp_path: Path, path: str
) -> None:
    replayed = changed(lock, path, sha256="ab" * 32)
    house = await make_house(folder=tmp_path / "elsewhere", replayed=replayed)
    got = await house.get(AT, path)
    assert (got.status, got.refusal.reason) == (424, "Upstream's bytes differ from the recorded ones")


async def test_the_end_of_other_bytes_is_not_shown(
    make_house: MakeHouse, lock: bytes, hamlet: Hamlet, tmp_path: Path
) -> None:
    """A package is streamed, so its client may have started to read: the body is cut off before the end."""
    kept = hamlet.edition.kept
    house = await make_house(folder=tmp_path / "elsewhere", replayed=changed(lock, kept.path, sha256="ab" * 32))
    await house.get(AT, PACKAGES)
    with pytest.raises(ArchiveDataError, match="differ from the recorded ones"):
        await house.get(AT, kept.path)


async def test_another_size_than_the_locks_is_refused(make_house: MakeHouse, lock: bytes, hamlet: Hamlet) -> None:
    house = await make_house(replayed=changed(lock, hamlet.edition.kept.path, size=5))
    got = await house.get(AT, hamlet.edition.kept.path)
    assert (got.status, got.refusal.reason) == (424, "The record contradicts itself")


async def test_what_upstream_has_lost_is_no_absence(elsewhere: House, hamlet: Hamlet) -> None:
    """apt would interpret a 404 as the absence of the file."""
    tree = hamlet.without(INRELEASE, FIRST)
    hamlet.publish(FIRST, tree)
    got = await elsewhere.get(AT, INRELEASE)
    assert (got.status, got.refusal.reason) == (424, "Upstream no longer has the recorded file")


async def test_offline_nothing_is_brought(make_house: MakeHouse, lock: bytes, hamlet: Hamlet, tmp_path: Path) -> None:
    house = await make_house(folder=tmp_path / "elsewhere", replayed=record_of(lock), offline=True)
    got = await house.get(AT, INRELEASE)
    assert (got.status, got.refusal.reason) == (424, "The recorded bytes are not in the store")
    assert (await house.get(AT, ABSENT)).status == 404
    assert list(hamlet.log.entries) == []


async def test_a_snapshot_that_was_marked_bad_since_is_brought_all_the_same(elsewhere: House, hamlet: Hamlet) -> None:
    assert await times.mark_bad(elsewhere.app, "debian", parse_time(FIRST), "caught mid-sync") == epoch(FIRST)
    assert (await elsewhere.app.resolve("debian", AT)) != Resolved(FIRST, epoch(FIRST))
    assert (await elsewhere.get(AT, INRELEASE)).data == hamlet.content(INRELEASE).data


async def test_what_was_answered_is_told(make_house: MakeHouse, lock: bytes) -> None:
    house = await make_house(replayed=record_of(lock))
    assert await house.app.answered() == Record((), {})
    for path in (INRELEASE, ABSENT, "dists/other/InRelease"):
        await house.get(AT, path)
    answered = await house.app.answered()
    assert [each.path for each in answered.entries] == [INRELEASE, ABSENT]
    missing = {each.name for each in compare(decode(lock), answered).files}
    assert missing == {each.path for each in decode(lock).entries} - {INRELEASE, ABSENT}


async def test_a_replay_keeps_the_solvers_of_its_record(make_house: MakeHouse, lock: bytes) -> None:
    record = replace(decode(lock), solvers=frozenset({"apt 2.6.1 (internal)"}))
    house = await make_house(replayed=record_of(encode(record)))
    await house.get(AT, INRELEASE)
    assert (await house.app.answered()).solvers == record.solvers


async def test_a_live_capture_is_replayed_where_its_state_was_observed(vendor: House, tmp_path: Path) -> None:
    for path in (INRELEASE, PACKAGES):
        await vendor.get("live", path, capture="build")
    record = await vendor.app.answered("build")
    async with House(vendor.folder, vendor.rows, replayed=Replayed(record, "The lock")) as house:
        house.evict(next(each.sha256 for each in record.entries if each.path == PACKAGES))
        assert (await house.get("live", INRELEASE)).status == 200
        assert (await house.get("live", PACKAGES)).served.requested == "live"
