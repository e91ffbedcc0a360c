"""A root that was stored without a proof is checked again when its detached signature appears."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.fakes.content import FixedTree
from tests.fakes.hamlet import FIRST, PACKAGES, RELEASE, SIGNATURE, Hamlet
from tests.fakes.house import House

MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def unsigned(house: House, hamlet: Hamlet) -> House:
    """A house that has a root whose signature was missing, and the index and a package that it lists."""
    hamlet.publish(FIRST, hamlet.without(SIGNATURE, FIRST))
    for path, proof in ((RELEASE, "none"), (PACKAGES, "index"), (hamlet.edition.kept.path, "index")):
        assert (await house.get(FIRST, path)).proof == proof
    return house


async def test_it_gets_its_proof_and_so_does_all_that_it_lists(unsigned: House, hamlet: Hamlet) -> None:
    hamlet.publish(FIRST, hamlet.edition.trees[FIRST])
    assert (await unsigned.get(FIRST, RELEASE)).proof == "none", "the absence of the signature is recorded"
    unsigned.clock.leap(601)  # type: ignore[attr-defined]
    hamlet.log.reset_counts()
    for path in (RELEASE, PACKAGES, hamlet.edition.kept.path):
        assert (await unsigned.get(FIRST, path)).proof == "gpg", path
    assert {each.path.rpartition("/")[2] for each in hamlet.asked()} == {
        "Release.gpg",
        hamlet.content(SIGNATURE).sha1,
    }


async def test_a_wrong_signature_refuses_it(unsigned: House, hamlet: Hamlet) -> None:
    tree = hamlet.edition.trees[FIRST]
    forged = {**tree.files, SIGNATURE: hamlet.content(SIGNATURE, "20240611T000000Z")}
    hamlet.publish(FIRST, FixedTree(forged, tree.packages))
    unsigned.clock.leap(601)  # type: ignore[attr-defined]
    assert (await unsigned.get(FIRST, RELEASE)).status == 424


async def test_an_archive_without_keys_is_not_asked_for_signatures(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(rows=(replace(hamlet.row, keyrings=()),))
    for _ in range(2):
        assert (await house.get(FIRST, RELEASE)).proof == "none"
    assert hamlet.asked("Release.gpg") == []


async def test_a_root_that_was_stored_before_the_keys_were_configured_is_checked(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    house = await make_house(rows=(replace(hamlet.row, keyrings=()),))
    assert (await house.get(FIRST, RELEASE)).proof == "none"
    await house.close()
    assert (await (await make_house()).get(FIRST, RELEASE)).proof == "gpg"
