"""An archive that nothing remembers but snapproxy: seen live, answered at an instant, with everything that wiring builds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from snapproxy.core.when import spell
from tests.fakes.hamlet import INRELEASE, PACKAGES, RELEASE, SIGNATURE
from tests.fakes.inside import Inside
from tests.fakes.present import Present, by_hash
from tests.fakes.signing import SigningKey

HOUR = 3600.0


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningKey]:
    key = SigningKey(tmp_path_factory.mktemp("key") / "gnupg")
    yield key
    key.close()


@pytest.fixture
def present(key: SigningKey) -> Iterator[Present]:
    present = Present(key)
    yield present
    present.close()


def settings(present: Present, further: str = "") -> str:
    """A third-party archive in three lines, and its keyring."""
    pace = "connections = 16\nrequests_per_second = 500\nburst = 500\n"
    return (
        f'{further}[archives.vendor]\nfamily = "apt"\nhistory = "captured"\nmirrors = ["{present.mirror.url}/debian"]\n'
        f'keyrings = ["{present.key.keyring}"]\n[upstreams."127.0.0.3"]\n{pace}'
    )


@pytest.fixture
async def house(present: Present, tmp_path: Path) -> AsyncIterator[Inside]:
    async with Inside(tmp_path / "house", settings(present)) as house:
        yield house


async def look(house: Inside, *paths: str) -> str:
    """Ask for files live, as a client's update does; return the instant at which their root was seen."""
    for path in paths or (INRELEASE, PACKAGES):
        got = await house.get("live", path, archive="vendor")
        assert got.status == 200, (path, got)
    span, _ = house.store.catalog.around(f"root/vendor/{INRELEASE}", int(house.clock.now()))
    assert span is not None
    return spell(span.last)


async def test_what_was_seen_is_answered_after_upstream_has_gone_on(house: Inside, present: Present) -> None:
    old = present.tree
    package = present.package
    await look(house, INRELEASE, PACKAGES, package)
    house.clock.leap(HOUR)
    then = await look(house, INRELEASE)
    house.clock.leap(HOUR)
    present.publish()
    await look(house)
    for path in (INRELEASE, PACKAGES, by_hash(old, PACKAGES), package):
        got = await house.get(then, path, archive="vendor")
        assert (got.status, got.data) == (200, old.files[path].data), path
        assert got.proof == "gpg"
    headers = (await house.get(then, INRELEASE, archive="vendor")).headers
    assert headers is not None
    start, end = headers["X-Snapproxy-Valid"].split("/")
    assert start <= then <= end
    assert "X-Snapproxy-Note" not in headers


async def test_between_two_different_observations_the_answer_says_what_it_is(house: Inside, present: Present) -> None:
    old = present.tree
    seen = house.clock.now()
    await look(house)
    house.clock.leap(2 * HOUR)
    present.publish()
    await look(house)
    got = await house.get(spell(seen + int(HOUR)), INRELEASE, archive="vendor")
    assert got.data == old.files[INRELEASE].data
    assert got.headers is not None
    assert got.headers["X-Snapproxy-Note"].startswith("seen last at ")


async def test_beyond_and_before_what_was_seen_is_refused(house: Inside) -> None:
    before = spell(house.clock.now() - 10)
    assert (await house.get(before, INRELEASE, archive="vendor")).status == 425, "never observed at all"
    await look(house)
    house.clock.leap(HOUR)
    beyond = await house.get(spell(house.clock.now()), INRELEASE, archive="vendor")
    assert beyond.status == 425
    assert "later than the last observation: use" in beyond.reason
    usable = beyond.reason.rpartition(" ")[2]
    assert (await house.get(usable, INRELEASE, archive="vendor")).status == 200
    early = await house.get(before, INRELEASE, archive="vendor")
    assert (early.status, early.reason.rpartition(" ")[2]) == (410, usable)


async def test_a_gap_longer_than_the_row_believes_is_refused(present: Present, tmp_path: Path) -> None:
    async with Inside(tmp_path / "house", settings(present, 'max_gap = "1h"\n')) as house:
        seen = house.clock.now()
        await look(house)
        house.clock.leap(3 * HOUR)
        present.publish()
        await look(house)
        answer = await house.get(spell(seen + int(2 * HOUR)), INRELEASE, archive="vendor")
        assert (answer.status, "gap" in answer.reason) == (410, True)


async def test_a_package_that_was_not_kept_is_brought_while_upstream_has_it_and_named_after(
    house: Inside, present: Present
) -> None:
    package, old = present.package, present.tree
    then = await look(house)
    got = await house.get(then, package, archive="vendor")
    assert (got.status, got.data) == (200, old.files[package].data)
    house.clock.leap(HOUR)
    present.publish()
    gone = present.package
    then = await look(house)
    house.clock.leap(HOUR)
    present.publish()
    await look(house)
    got = await house.get(then, gone, archive="vendor")
    assert (got.status, got.reason) == (404, "Index observed, package not kept")


async def test_a_package_is_found_through_whichever_root_was_seen_then(house: Inside, present: Present) -> None:
    old, package = present.tree, present.package
    await look(house, INRELEASE, RELEASE, SIGNATURE, PACKAGES, package)
    then = await look(house, INRELEASE)
    house.clock.leap(HOUR)
    await look(house, INRELEASE, RELEASE)
    for path in (package, RELEASE, SIGNATURE):
        got = await house.get(then, path, archive="vendor")
        assert (got.status, got.data) == (200, old.files[path].data), path


async def test_a_root_that_goes_back_in_time_is_answered_as_it_was_seen(house: Inside, present: Present) -> None:
    trees, seen = [], []
    for tree in (present.tree, present.publish(), None):
        if tree is None:
            present.show(trees[0])
        trees.append(present.timeline.newest)
        await look(house, INRELEASE)
        house.clock.leap(HOUR)
        seen.append(await look(house))
        house.clock.leap(HOUR)
    assert trees[0].get(INRELEASE) == trees[2].get(INRELEASE)
    for tree, then in zip(trees, seen, strict=True):
        for path in (INRELEASE, PACKAGES):
            content = tree.get(path)
            assert content is not None
            assert (await house.get(then, path, archive="vendor")).data == content.data


async def test_a_clock_that_steps_back_breaks_no_answer(house: Inside, present: Present) -> None:
    old = present.tree
    house.clock.leap(10 * HOUR)
    late = await look(house)
    house.clock.leap(-5 * HOUR)
    present.publish()
    early = await look(house)
    house.clock.leap(7 * HOUR)
    new = present.tree
    await look(house)
    for then, tree in ((early, new), (late, old)):
        got = {path: await house.get(then, path, archive="vendor") for path in (INRELEASE, PACKAGES)}
        assert {path: each.data for path, each in got.items()} == {path: tree.files[path].data for path in got}


async def test_a_marked_observation_is_passed_over(present: Present, tmp_path: Path) -> None:
    old = present.tree
    async with Inside(tmp_path / "house", settings(present)) as house:
        await look(house)
        house.clock.leap(HOUR)
        present.publish()
        await look(house)
        clock = house.clock
        span, _ = house.store.catalog.around(f"root/vendor/{INRELEASE}", clock.now())
        assert span is not None
        clock.leap(HOUR)
        present.publish()
        await look(house)
    bad = settings(present).replace("[upstreams", f'bad = ["{spell(span.first)}"]\n[upstreams')
    async with Inside(tmp_path / "house", bad, clock=clock) as house:
        refused = await house.get(spell(span.first), INRELEASE, archive="vendor")
        assert (refused.status, "marked bad" in refused.reason) == (410, True)
        got = await house.get(spell(span.first + 60), INRELEASE, archive="vendor")
        assert got.data == old.files[INRELEASE].data
        assert got.headers is not None
        assert "marked bad and was passed over" in got.headers["X-Snapproxy-Note"]


async def test_an_instant_is_settled_by_three_look_ups(
    house: Inside, present: Present, monkeypatch: pytest.MonkeyPatch
) -> None:
    await look(house)
    house.clock.leap(HOUR)
    then = await look(house)
    asked: list[str] = []
    catalog = house.store.catalog
    read = catalog._read  # type: ignore[attr-defined]  # where every SQL query of a reader passes
    monkeypatch.setattr(
        catalog, "_read", lambda statement, *values: asked.append(statement) or read(statement, *values)
    )
    row = house.row("vendor")
    facts = house.app.executor._facts
    history = house.app.executor._histories["captured"]
    assert facts._observations.sightings(row, history, (INRELEASE,), int(house.clock.now()))[0].before is not None
    assert 1 <= len(asked) <= 3
    assert then


async def test_many_clients_at_once_leave_one_observation(house: Inside, present: Present) -> None:
    await asyncio.gather(*(look(house) for _ in range(10)))
    assert len(house.store.catalog.keys("root/vendor/")) == 1
