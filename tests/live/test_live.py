"""Live mode with the whole wiring, against a real mirror that is published again between requests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapproxy.live.adopt import ADOPTION_SECONDS
from tests.fakes.content import Content, FixedTree
from tests.fakes.faults import Hold, Status
from tests.fakes.hamlet import INRELEASE, PACKAGES, RELEASE, SIGNATURE
from tests.fakes.house import PATIENT, Got, House
from tests.fakes.living import LATER, STALE_ENOUGH, warm
from tests.fakes.present import SOURCES, Present, by_hash

pytestmark = pytest.mark.usefixtures("watchdog")


@pytest.fixture
async def house(present: Present, tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house", rows=(present.row,), timeouts=PATIENT) as house:
        yield house


def assert_no_mix(got: dict[str, Got], trees: list[FixedTree]) -> None:
    """Check that all files that were served belong to one edition."""
    answered = {path: answer.data for path, answer in got.items() if answer.status == 200}
    fitting = [tree for tree in trees if all(tree.files[path].data == data for path, data in answered.items())]
    assert fitting, f"a mix: {sorted(answered)}"


# --- revalidation -----------------------------------------------------------------------------------------------------


async def test_a_root_is_fresh_for_ten_seconds_and_then_revalidated(house: House, present: Present) -> None:
    first = await house.get("live", INRELEASE)
    assert (first.status, first.data, first.proof) == (200, present.tree.files[INRELEASE].data, "gpg")
    assert (await house.get("live", INRELEASE)).data == first.data
    assert present.asked(INRELEASE) == [200]
    house.clock.leap(STALE_ENOUGH)
    again = await house.get("live", INRELEASE)
    assert (again.data, again.stale) == (first.data, "")
    assert present.asked(INRELEASE) == [200, 304]
    conditions = present.log.requests(f"/debian/{INRELEASE}")[-1].headers
    assert conditions["if-none-match"]
    assert conditions["if-modified-since"]
    await house.get("live", INRELEASE)
    assert present.asked(INRELEASE) == [200, 304], "a 304 is as fresh as a 200"


async def test_many_clients_revalidate_a_root_once(house: House, present: Present) -> None:
    await warm(house, INRELEASE)
    house.clock.leap(STALE_ENOUGH)
    answers = await asyncio.gather(*(house.get("live", INRELEASE) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert present.asked(INRELEASE) == [200, 304]


async def test_a_new_root_is_served_with_its_own_indexes(house: House, present: Present) -> None:
    await warm(house, INRELEASE, PACKAGES)
    new = present.publish()
    house.clock.leap(STALE_ENOUGH)
    for path in (INRELEASE, PACKAGES, by_hash(new, PACKAGES)):
        answer = await house.get("live", path)
        assert (answer.status, answer.stale) == (200, ""), path
        assert answer.data == (new.files[PACKAGES] if "Packages" in path or "by-hash" in path else new.files[path]).data


async def test_by_hash_serves_the_old_set_and_the_new(house: House, present: Present) -> None:
    old = present.tree
    await warm(house, INRELEASE, PACKAGES)
    new = present.publish()
    house.clock.leap(STALE_ENOUGH)
    await warm(house, INRELEASE)
    for tree in (old, new):
        answer = await house.get("live", by_hash(tree, PACKAGES))
        assert (answer.status, answer.data) == (200, tree.files[PACKAGES].data)
    assert (await house.get("live", PACKAGES)).data == new.files[PACKAGES].data


# --- adoption ---------------------------------------------------------------------------------------------------------


async def test_until_the_successors_are_here_the_old_set_is_served_whole_and_says_so(
    house: House, present: Present
) -> None:
    old = present.tree
    await warm(house, INRELEASE, PACKAGES, SOURCES)
    new = present.publish()
    held = present.mirror.fault(f"*{new.files[SOURCES].sha256}", Hold(after=None))
    house.clock.leap(STALE_ENOUGH)
    context = asyncio.create_task(house.get("live", INRELEASE))
    await asyncio.to_thread(held.reached.wait, 10)
    for path in (PACKAGES, SOURCES, by_hash(old, PACKAGES)):
        answer = await house.get("live", path)
        assert answer.status == 200, (path, answer)
        assert answer.data == old.files[PACKAGES if "by-hash" in path else path].data, path
        assert answer.stale, path
    held.release()
    assert (await context).data == new.files[INRELEASE].data
    assert (await house.get("live", SOURCES)).data == new.files[SOURCES].data


async def test_a_client_with_little_patience_is_given_the_old_root_while_a_new_one_is_being_adopted(
    house: House, present: Present
) -> None:
    old = present.tree
    await warm(house, INRELEASE, PACKAGES)
    house.app.executor._patience = {"apt": 0.5}  # only now: on a busy machine the first answers take longer
    new = present.publish()
    held = present.mirror.fault(f"*{new.files[PACKAGES].sha256}", Hold(after=None))
    house.clock.leap(STALE_ENOUGH)
    answer = await house.get("live", INRELEASE)
    assert (answer.data, bool(answer.stale)) == (old.files[INRELEASE].data, True)
    held.release()


async def test_adoption_is_given_up_after_a_minute_and_tried_again_later(house: House, present: Present) -> None:
    old = present.tree
    await warm(house, INRELEASE, PACKAGES)
    new = present.publish()
    held = present.mirror.fault(f"*{new.files[PACKAGES].sha256}", Hold(after=None, patience=20))
    house.clock.leap(STALE_ENOUGH)
    context = asyncio.create_task(house.get("live", INRELEASE))
    await asyncio.to_thread(held.reached.wait, 10)
    house.clock.leap(ADOPTION_SECONDS + 1)
    answer = await asyncio.wait_for(context, 5)
    assert (answer.data, bool(answer.stale)) == (old.files[INRELEASE].data, True)
    roots = len(present.asked(INRELEASE))
    for _ in range(5):
        assert (await house.get("live", INRELEASE)).data == old.files[INRELEASE].data
    assert len(present.asked(INRELEASE)) == roots, "a set that cannot be had is not asked for at every request"
    held.release()
    house.clock.leap(STALE_ENOUGH)
    assert (await house.get("live", INRELEASE)).data == new.files[INRELEASE].data


async def test_a_successor_with_wrong_bytes_is_never_adopted(house: House, present: Present) -> None:
    old = present.tree
    await warm(house, INRELEASE, PACKAGES)
    new = present.publish()
    wrong = Content(b"x" * new.files[PACKAGES].size, new.files[PACKAGES].modified)
    present.show(new.replacing(PACKAGES, wrong).replacing(by_hash(new, PACKAGES), wrong))
    house.clock.leap(STALE_ENOUGH)
    answer = await house.get("live", INRELEASE)
    assert (answer.data, bool(answer.stale)) == (old.files[INRELEASE].data, True)
    assert (await house.get("live", PACKAGES)).data == old.files[PACKAGES].data


async def test_a_root_with_a_bad_signature_is_never_adopted(house: House, present: Present) -> None:
    old = present.tree
    await warm(house, INRELEASE, PACKAGES)
    new = present.publish()
    forged = Content(new.files[INRELEASE].data.replace(b"Suite: ", b"Suite:  "), new.files[INRELEASE].modified)
    present.show(new.replacing(INRELEASE, forged))
    house.clock.leap(STALE_ENOUGH)
    answer = await house.get("live", INRELEASE)
    assert (answer.data, bool(answer.stale)) == (old.files[INRELEASE].data, True)


async def test_no_client_ever_sees_a_mix(house: House, present: Present) -> None:
    """The archive is published again between every pair of requests, with any time between them.

    The mirror keeps by-hash as Debian's do.
    """
    dice = random.Random(20240601)
    trees = [present.tree]
    for _ in range(12):
        got: dict[str, Got] = {}
        paths = [PACKAGES, SOURCES]
        dice.shuffle(paths)
        for path in [INRELEASE, *paths]:
            keeping = ("by-hash", "pool/") if dice.random() < 0.7 else ()
            trees.append(present.publish(keeping=keeping))
            house.clock.leap(dice.choice([0.0, 3.0, STALE_ENOUGH, 30.0]))
            got[path] = await house.get("live", path)
            root = next(tree for tree in trees if tree.files[INRELEASE].data == got[INRELEASE].data)
            if path != INRELEASE:
                listed = await house.get("live", by_hash(root, path))
                assert listed.status in {200, 404, 424}
                assert listed.status != 200 or listed.data == root.files[path].data
        assert got[INRELEASE].status == 200
        assert_no_mix(got, trees)
        house.clock.leap(LATER)
    house.clock.leap(LATER)
    got = {path: await house.get("live", path) for path in (INRELEASE, PACKAGES, SOURCES)}
    assert {answer.status for answer in got.values()} == {200}, "when the archive stands still, all of it is served"
    assert got[INRELEASE].data == trees[-1].files[INRELEASE].data
    assert_no_mix(got, trees)


# --- upstream down, and absences --------------------------------------------------------------------------------------


async def test_with_upstream_down_what_is_stored_is_served_and_said_to_be_stale(house: House, present: Present) -> None:
    await warm(house, INRELEASE, PACKAGES)
    house.clock.leap(LATER)
    with present.mirror.refusing():
        for path in (INRELEASE, PACKAGES):
            answer = await house.get("live", path)
            assert (answer.status, answer.data) == (200, present.tree.files[path].data)
            assert answer.stale.startswith("as of 20"), path
    house.clock.leap(LATER)
    assert (await house.get("live", INRELEASE)).stale == ""


async def test_with_upstream_down_and_nothing_stored_a_root_is_refused_with_424(house: House, present: Present) -> None:
    house.app.executor._patience = {"apt": 1.0}
    with present.mirror.refusing():
        for path in (INRELEASE, RELEASE, SIGNATURE, PACKAGES):
            assert (await house.get("live", path)).status == 424, path


async def test_a_file_that_is_not_there_is_absent(house: House, present: Present) -> None:
    for path in ("dists/nothing/InRelease", "pool/main/n/nothing/nothing_1_all.deb", "README"):
        assert (await house.get("live", path)).status == 404, path


async def test_a_server_error_is_no_absence(house: House, present: Present) -> None:
    present.mirror.fault("*InRelease", Status(500))
    answer = await house.get("live", INRELEASE)
    assert answer.status == 424


async def test_offline_live_is_what_was_stored_and_says_so(house: House, present: Present, tmp_path: Path) -> None:
    await warm(house, INRELEASE, PACKAGES)
    present.reset()
    async with House(tmp_path / "house", rows=(present.row,), offline=True) as offline:
        for path in (INRELEASE, PACKAGES):
            answer = await offline.get("live", path)
            assert (answer.status, bool(answer.stale)) == (200, True), path
        assert (await offline.get("live", SOURCES)).status == 424
        assert (await offline.get("live", "dists/other/InRelease")).status == 424
    assert present.log.requests() == []


# --- nothing live leaks -----------------------------------------------------------------------------------------------


async def test_nothing_live_is_named_in_a_pinned_view_nor_does_that_ask_a_mirror_for_a_root(
    house: House, present: Present
) -> None:
    pinned = "20240602T010000Z"
    old = present.tree
    present.publish()
    await warm(house, INRELEASE, PACKAGES, present.package)
    rows = house.store.catalog._read("SELECT space, name FROM name")  # type: ignore[attr-defined]
    named = {space: name for space, name in rows if space.startswith(("debian/", "roots:debian/2"))}
    (span,) = house.app.observations.spans(present.row, INRELEASE, 0, house.clock.now())
    assert named == {f"debian/{span.snapshot}": INRELEASE, f"roots:debian/{span.snapshot}": INRELEASE}, (
        "the observation"
    )
    present.reset()
    for path in (INRELEASE, PACKAGES):
        assert (await house.get(pinned, path)).data == old.files[path].data
    assert present.asked(INRELEASE) == []
    names = house.store.catalog.names("debian/20240602T000000Z")
    assert {path: name.digest for path, name in names} == {
        path: old.files[path].sha256 for path in (INRELEASE, PACKAGES)
    }
