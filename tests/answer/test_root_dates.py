"""A date proves which bytes a client has only if no other state of that root has ever had it here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from snapproxy.core.exchange import Served
from tests.fakes.content import Content, FixedTree, epoch, stamp
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, SUITE, Hamlet
from tests.fakes.house import House
from tests.fakes.publisher import Publisher, SuitePlan

MakeHouse = Callable[..., Awaitable[House]]

ONE_DATE = epoch("20240101T000000Z")
DATABASE = "core/os/x86_64/core.db"
FILES = "core/os/x86_64/core.files"
FIRST_DATE, SECOND_DATE = epoch(FIRST), epoch(SECOND)


def with_one_date(hamlet: Hamlet) -> None:
    """Give all files of both states one Last-Modified, as a copied tree or an image with rewritten dates has."""
    for when, tree in hamlet.edition.trees.items():
        files = {path: replace(content, modified=ONE_DATE) for path, content in tree.files.items()}
        hamlet.publish(when, FixedTree(files, tree.packages))


def with_one_signed_date(hamlet: Hamlet) -> None:
    """Publish two states whose roots have the same Date."""
    publisher = Publisher(hamlet.edition.key)
    for when, package in ((FIRST, hamlet.edition.old), (SECOND, hamlet.edition.new)):
        hamlet.publish(when, publisher.tree(FIRST, [SuitePlan(SUITE, (package,))]))


async def date(house: House, when: str, path: str = INRELEASE, since: int | None = None) -> tuple[int | None, bool]:
    """Return the date with which a file is sent, and whether it is a proof."""
    served = (await house.get(when, path, since=since)).outcome
    assert isinstance(served, Served), served
    return served.date, served.date_is_proof


async def test_roots_that_upstream_sends_with_one_date_have_the_dates_that_they_contain(
    house: House, hamlet: Hamlet
) -> None:
    with_one_date(hamlet)
    for _ in range(2):
        assert await date(house, SECOND) == (SECOND_DATE, True)
        assert await date(house, FIRST) == (FIRST_DATE, True)
    assert await date(house, FIRST, since=FIRST_DATE) == (FIRST_DATE, True)
    got = await house.get(FIRST, INRELEASE, since=ONE_DATE)
    assert got.status == 409, "the client may have either root"
    assert await date(house, SECOND, since=ONE_DATE) == (SECOND_DATE, True), "another date than the client's: a 200"


async def test_two_roots_that_contain_one_date_are_never_unmodified(house: House, hamlet: Hamlet) -> None:
    with_one_signed_date(hamlet)
    assert await date(house, SECOND) == (FIRST_DATE, True)
    assert await date(house, FIRST, since=FIRST_DATE) == (FIRST_DATE, False)
    assert await date(house, SECOND, since=FIRST_DATE) == (FIRST_DATE, False)


async def test_the_date_of_one_root_is_a_proof_under_another_name_too(house: House, hamlet: Hamlet) -> None:
    release = INRELEASE.replace("InRelease", "Release")
    assert await date(house, FIRST) == (FIRST_DATE, True)
    assert await date(house, FIRST, release) == (FIRST_DATE, True), "the dates of another name do not count"


async def test_dates_are_recorded_for_every_process_and_every_restart(make_house: MakeHouse, hamlet: Hamlet) -> None:
    with_one_signed_date(hamlet)
    first = await make_house()
    assert await date(first, SECOND) == (FIRST_DATE, True)
    await first.close()
    assert await date(await make_house(), FIRST, since=FIRST_DATE) == (FIRST_DATE, False)


async def test_a_live_root_is_unmodified_only_if_no_other_had_its_date(house: House, hamlet: Hamlet) -> None:
    with_one_signed_date(hamlet)
    assert await date(house, "live") == (FIRST_DATE, True)
    hamlet.publish_now(FIRST)
    house.clock.leap(11)
    assert await date(house, "live", since=FIRST_DATE) == (FIRST_DATE, False)
    assert await date(house, "live", since=FIRST_DATE + 1) == (FIRST_DATE, False), "live roots are never a 409"


async def test_a_root_whose_date_was_not_recorded_is_read_once(house: House, hamlet: Hamlet) -> None:
    """An older version, or an import, stored it without."""
    await house.get(FIRST, INRELEASE)
    digest = hamlet.content(INRELEASE).sha256
    catalog = house.store.catalog
    for key in (f"own-date/debian/{INRELEASE}/{digest}", f"dated/debian/{INRELEASE}/{FIRST_DATE}"):
        assert catalog.fact(key, 0) is not None
        await catalog.drop_fact(key)
    await catalog.put_fact(f"date/{digest}", ONE_DATE)
    assert await date(house, FIRST, since=FIRST_DATE) == (FIRST_DATE, True)
    assert await date(house, FIRST, since=ONE_DATE) == (ONE_DATE, True), "the date with which it was sent before"


async def test_a_client_with_lists_of_a_date_that_no_root_had_is_refused(house: House, hamlet: Hamlet) -> None:
    await house.get(FIRST, INRELEASE)
    assert await date(house, SECOND, since=FIRST_DATE) == (SECOND_DATE, True)
    for when, since, reason in (
        (SECOND, ONE_DATE, "The date of your lists is unknown, they may be newer: remove them first"),
        (FIRST, SECOND_DATE, "Your lists are newer than the pinned time: remove them first"),
        (FIRST, SECOND_DATE + 1, "Your lists are newer than the pinned time: remove them first"),
    ):
        got = await house.get(when, INRELEASE, since=since)
        assert (got.status, got.refusal.reason) == (409, reason)
        assert "rm -rf /var/lib/apt/lists/*" in got.refusal.hint
    assert await date(house, "live", since=ONE_DATE) == (SECOND_DATE, True)
    assert (await house.get(SECOND, PACKAGES, since=ONE_DATE)).status == 200


@pytest.fixture
async def arch(make_house: MakeHouse, hamlet: Hamlet) -> House:
    """An archive of pacman whose databases have one date at both times."""
    for when in (FIRST, SECOND):
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w") as tar:
            desc = (
                f"%FILENAME%\na-1-1-any.pkg.tar.zst\n\n%CSIZE%\n{epoch(when)}\n\n%SHA256SUM%\n{'a' * 64}\n\n".encode()
            )
            member = tarfile.TarInfo("a-1-1/desc")
            member.size = len(desc)
            tar.addfile(member, io.BytesIO(desc))
        for path in (DATABASE, f"{DATABASE}.sig", FILES):
            hamlet.place(path, Content(written.getvalue(), ONE_DATE), when)
    return await make_house(rows=(replace(hamlet.row, family="pacman", keyrings=()),))


@pytest.mark.parametrize("path", [DATABASE, f"{DATABASE}.sig", FILES])
async def test_pacman_gets_no_date_that_two_states_of_a_file_have_had(arch: House, path: str) -> None:
    assert await date(arch, SECOND, path) == (ONE_DATE, True)
    assert await date(arch, SECOND, path, since=ONE_DATE) == (ONE_DATE, True)
    for when in (FIRST, SECOND, FIRST):
        assert await date(arch, when, path, since=ONE_DATE) == (None, False)
        assert await date(arch, when, path) == (None, False)


async def test_pacman_gets_no_date_older_than_its_copy(arch: House) -> None:
    assert await date(arch, FIRST, DATABASE, since=ONE_DATE + 1) == (None, True)
    assert await date(arch, FIRST, DATABASE, since=ONE_DATE - 1) == (ONE_DATE, True)


async def test_a_package_keeps_its_date_for_a_resume(house: House, hamlet: Hamlet) -> None:
    kept = hamlet.edition.kept
    sent, is_proof = await date(house, FIRST, kept.path, since=SECOND_DATE)
    assert (sent, is_proof) == (hamlet.content(kept.path).modified, False)
    assert stamp(sent or 0)
