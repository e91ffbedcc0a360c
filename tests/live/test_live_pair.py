"""Live mode of an archive without InRelease: a Release and the signature that belongs to it."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.content import Content, FixedTree
from tests.fakes.faults import Hold, Meanwhile
from tests.fakes.hamlet import INRELEASE, PACKAGES, RELEASE, SIGNATURE, Edition
from tests.fakes.house import PATIENT, Got, House
from tests.fakes.living import LATER, STALE_ENOUGH, warm
from tests.fakes.present import Present

pytestmark = pytest.mark.usefixtures("watchdog")


@pytest.fixture
async def split_house(split: Present, tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house", rows=(split.row,), timeouts=PATIENT) as house:
        yield house


async def pair(house: House) -> tuple[bytes, bytes]:
    """Send the requests of an apt that finds no InRelease."""
    assert (await house.get("live", INRELEASE)).status == 404
    release, signature = await house.get("live", RELEASE), await house.get("live", SIGNATURE)
    assert (release.status, signature.status) == (200, 200), (release, signature)
    return release.data, signature.data


def belongs(tree: FixedTree) -> tuple[bytes, bytes]:
    return tree.files[RELEASE].data, tree.files[SIGNATURE].data


async def test_without_an_inrelease_the_pair_is_served_and_checked(split_house: House, split: Present) -> None:
    assert await pair(split_house) == belongs(split.tree)
    assert (await split_house.get("live", RELEASE)).proof == "gpg"
    assert (await split_house.get("live", PACKAGES)).proof == "gpg"


async def test_the_signature_served_is_that_of_the_release_served(split_house: House, split: Present) -> None:
    """The archive is published again between the two requests, at any interval: both always match, in either order."""
    dice = random.Random(1)
    trees = [split.tree]
    for _ in range(8):
        paths = [RELEASE, SIGNATURE]
        got: dict[str, Got] = {}
        for path in paths:
            trees.append(split.publish())
            split_house.clock.leap(dice.choice([0.0, 3.0, STALE_ENOUGH]))
            got[path] = await split_house.get("live", path)
            assert got[path].status == 200, got[path]
        assert (got[RELEASE].data, got[SIGNATURE].data) in [belongs(tree) for tree in trees]
        split_house.clock.leap(LATER)


async def test_while_an_adoption_is_pending_the_old_signature_goes_with_the_old_release(
    split_house: House, split: Present
) -> None:
    old = split.tree
    await pair(split_house)
    await warm(split_house, PACKAGES)
    new = split.publish()
    held = split.mirror.fault(f"*{new.files[PACKAGES].sha256}", Hold(after=None))
    split_house.clock.leap(STALE_ENOUGH)
    context = asyncio.create_task(split_house.get("live", RELEASE))
    await asyncio.to_thread(held.reached.wait, 10)
    signature = await split_house.get("live", SIGNATURE)
    assert signature.data == old.files[SIGNATURE].data
    assert signature.stale
    held.release()
    assert (await context).data == new.files[RELEASE].data
    assert (await split_house.get("live", SIGNATURE)).data == new.files[SIGNATURE].data


async def test_a_mirror_caught_between_release_and_signature_is_not_believed(
    split_house: House, split: Present
) -> None:
    old = split.tree
    await pair(split_house)
    new = split.publish()
    split.show(new.replacing(SIGNATURE, old.files[SIGNATURE]))
    split_house.clock.leap(STALE_ENOUGH)
    release, signature = await split_house.get("live", RELEASE), await split_house.get("live", SIGNATURE)
    assert (release.data, signature.data) == belongs(old)
    assert release.stale
    split.show(new)
    split_house.clock.leap(LATER)
    assert await pair(split_house) == belongs(new)


async def test_a_release_signed_anew_gets_its_new_signature(split_house: House, split: Present) -> None:
    old = split.tree
    await pair(split_house)
    again = Content(
        split.key.detached(old.files[RELEASE].data, at="20240820T000000Z"), old.files[SIGNATURE].modified + 60
    )
    split.show(old.replacing(SIGNATURE, again))
    split_house.clock.leap(STALE_ENOUGH)
    assert (await split_house.get("live", RELEASE)).data == old.files[RELEASE].data
    assert (await split_house.get("live", SIGNATURE)).data == again.data


async def test_without_keyrings_the_pair_is_served_as_it_is_and_proves_nothing(split: Present, tmp_path: Path) -> None:
    async with House(tmp_path / "house", rows=(replace(split.row, keyrings=()),)) as house:
        assert await pair(house) == belongs(split.tree)
        assert (await house.get("live", RELEASE)).proof == "none"
        new = split.publish()
        house.clock.leap(STALE_ENOUGH)
        assert await pair(house) == belongs(new)


@pytest.mark.parametrize("is_checked", [True, False], ids=["keyring", "no-keyring"])
async def test_published_again_between_any_two_requests_a_cold_pair_is_of_one_state(
    edition: Edition, tmp_path: Path, *, is_checked: bool
) -> None:
    for at in itertools.count():
        split = Present(edition.key, has_inrelease=False)
        try:
            row = split.row if is_checked else replace(split.row, keyrings=())
            trees = [split.tree]
            publish = functools.partial(lambda split, trees: trees.append(split.publish()), split, trees)
            meanwhile = split.mirror.fault("*/Release*", Meanwhile(publish, at))
            async with House(tmp_path / f"house{at}", rows=(row,), timeouts=PATIENT) as house:
                got = [await house.get("live", path) for path in (RELEASE, SIGNATURE)]
                assert [each.status for each in got] == [200, 200], at
                assert tuple(each.data for each in got) in [belongs(tree) for tree in trees], at
        finally:
            split.close()
        if meanwhile.count <= at:
            break
    assert at >= 2


async def test_a_new_release_is_not_adopted_with_the_signature_of_the_old_one(split: Present, tmp_path: Path) -> None:
    """No keyring verifies the pair, and the mirror has only replaced the root so far."""
    async with House(tmp_path / "house", rows=(replace(split.row, keyrings=()),), timeouts=PATIENT) as house:
        old = split.tree
        await pair(house)
        new = split.publish()
        split.show(new.replacing(SIGNATURE, old.files[SIGNATURE]))
        house.clock.leap(STALE_ENOUGH)
        release = await house.get("live", RELEASE)
        assert (release.data, bool(release.stale)) == (old.files[RELEASE].data, True)
        split.show(new)
        house.clock.leap(LATER)
        assert await pair(house) == belongs(new)


async def test_a_kept_signature_is_not_replaced_by_that_of_a_newer_release(split: Present, tmp_path: Path) -> None:
    async with House(tmp_path / "house", rows=(replace(split.row, keyrings=()),), timeouts=PATIENT) as house:
        trees = [split.tree]
        await pair(house)
        house.clock.leap(STALE_ENOUGH)
        split.mirror.fault("*/Release.gpg", Meanwhile(lambda: trees.append(split.publish()), 0))
        split.mirror.fault("*/Release", Meanwhile(lambda: trees.append(split.publish()), 0))
        got = await pair(house)
        assert got in [belongs(tree) for tree in trees]


async def test_a_signature_that_appears_with_a_new_release_is_adopted_with_it(split: Present, tmp_path: Path) -> None:
    """The 404 of the signature is kept for ten minutes, but says nothing about the signature of a new root."""
    unsigned = {path: content for path, content in split.tree.files.items() if path != SIGNATURE}
    split.show(FixedTree(unsigned, split.tree.packages))
    async with House(tmp_path / "house", rows=(replace(split.row, keyrings=()),), timeouts=PATIENT) as house:
        assert (await house.get("live", RELEASE)).status == 200
        assert (await house.get("live", SIGNATURE)).status == 404
        new = split.publish()
        house.clock.leap(STALE_ENOUGH)
        got = [await house.get("live", path) for path in (RELEASE, SIGNATURE)]
        assert tuple(each.data for each in got) == belongs(new)


async def test_an_unsigned_release_has_no_signature(edition: Edition, split: Present, tmp_path: Path) -> None:
    files = {path: content for path, content in split.tree.files.items() if path != SIGNATURE}
    split.show(FixedTree(files, split.tree.packages))
    async with House(tmp_path / "house", rows=(split.row,), timeouts=PATIENT) as house:
        release = await house.get("live", RELEASE)
        assert (release.status, release.proof) == (200, "none")
        assert (await house.get("live", SIGNATURE)).status == 404
