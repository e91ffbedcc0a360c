"""The snapshot service's own calls, passed through, with everything that wiring builds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.faults import Hold, Html, Status
from tests.fakes.inside import Inside
from tests.fakes.present import Present
from tests.fakes.signing import SigningKey

HOUR = 3601.0
BINARY = "/mr/binary/hello/"
TIMES = "/mr/timestamp/?archive=debian&after=20240601T000000Z&before=20240630T000000Z"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningKey]:
    key = SigningKey(tmp_path_factory.mktemp("key") / "gnupg")
    yield key
    key.close()


@pytest.fixture
def past(key: SigningKey) -> Iterator[Present]:
    archive = Present(key)
    yield archive
    archive.close()


@pytest.fixture
async def house(past: Present, tmp_path: Path) -> AsyncIterator[Inside]:
    async with Inside(tmp_path / "house", past.configuration(), patience=5.0) as house:
        yield house


def asked(past: Present, path: str) -> int:
    return len(past.log.requests(path, service="snapshot"))


async def test_an_answer_is_passed_through_and_kept_an_hour(house: Inside, past: Present) -> None:
    first = await house.call(BINARY)
    assert json.loads(first.data)["binary"] == "hello"
    assert (await house.call(BINARY)).data == first.data
    assert asked(past, BINARY) == 1
    house.clock.leap(HOUR)
    past.publish()
    assert len(json.loads((await house.call(BINARY)).data)["result"]) == 2
    assert asked(past, BINARY) == 2


async def test_a_timeline_is_kept_ten_minutes(house: Inside, past: Present) -> None:
    await house.call(TIMES)
    house.clock.leap(590)
    await house.call(TIMES)
    assert asked(past, TIMES) == 1
    house.clock.leap(20)
    await house.call(TIMES)
    assert asked(past, TIMES) == 2


@pytest.mark.parametrize("fault", [Status(500), Html()], ids=["500", "a web page"])
async def test_when_upstream_fails_the_old_answer_is_served_and_said_to_be_stale(
    house: Inside, past: Present, fault: Status
) -> None:
    first = await house.call(BINARY)
    house.clock.leap(HOUR)
    past.snapshot.fault("/mr/*", fault)
    again = await house.call(BINARY)
    assert (again.status, again.data, bool(again.stale)) == (200, first.data, True)


async def test_an_unknown_package_is_absent(house: Inside) -> None:
    assert (await house.call("/mr/binary/nothing/")).status == 404


async def test_a_file_by_its_digest_is_kept_for_ever_and_proven_by_it(house: Inside, past: Present) -> None:
    content = past.tree.files[past.package]
    path = f"/file/{content.sha1}"
    first = await house.call(path, content.sha1)
    assert (first.data, first.proof) == (content.data, "digest")
    await asyncio.sleep(0.2)
    house.clock.leap(1000 * HOUR)
    assert (await house.call(path, content.sha1)).data == content.data
    assert asked(past, path) == 1


async def test_an_evicted_file_is_fetched_anew(house: Inside, past: Present) -> None:
    content = past.tree.files[past.package]
    path = f"/file/{content.sha1}"
    for times in (1, 2):
        answer = await house.call(path, content.sha1)
        assert (answer.status, answer.data) == (200, content.data)
        await asyncio.sleep(0.2)
        assert asked(past, path) == times
        await house.store.blobs.remove(content.sha256)


async def test_an_evicted_answer_is_asked_for_anew(house: Inside, past: Present) -> None:
    first = await house.call(BINARY)
    for digest in list(house.store.blobs.digests()):
        await house.store.blobs.remove(digest)
    assert (await house.call(BINARY)).data == first.data


async def test_two_processes_ask_one_question(past: Present, tmp_path: Path) -> None:
    content = past.tree.files[past.package]
    settings = past.configuration()
    async with Inside(tmp_path, settings) as one, Inside(tmp_path, settings) as other:
        for path, sha1 in ((BINARY, ""), (f"/file/{content.sha1}", content.sha1)):
            held = past.snapshot.fault(f"{path}*", Hold(after=0), times=1)
            asking = [asyncio.create_task(house.call(path, sha1)) for house in (one, other)]
            await asyncio.to_thread(held.reached.wait, 10)
            await asyncio.sleep(0.2)
            held.release()
            answers = await asyncio.gather(*asking)
            assert {answer.status for answer in answers} == {200}, answers
            assert answers[0].data == answers[1].data
            assert asked(past, path) == 1


async def test_offline_what_was_asked_before_is_answered(house: Inside, past: Present, tmp_path: Path) -> None:
    first = await house.call(BINARY)
    past.reset()
    async with Inside(tmp_path / "house", past.configuration(), offline=True) as offline:
        offline.clock.leap(HOUR)
        again = await offline.call(BINARY)
        assert (again.data, bool(again.stale)) == (first.data, True)
        assert (await offline.call("/mr/binary/other/")).status == 424
    assert past.log.requests() == []
