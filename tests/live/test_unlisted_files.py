"""Files beside a repository that no index lists, such as a vendor's key: recorded, observed, never invented."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from snapproxy.core.model import Proof
from snapproxy.jobs.sweep import Observation
from tests.fakes.content import Content, FixedTree
from tests.fakes.hamlet import INRELEASE, PACKAGES
from tests.fakes.house import House
from tests.fakes.present import Present

HOUR = 3600.0
KEY = "gpg"
OLD, NEW = Content(b"the old key\n", 1_717_200_000), Content(b"the new key\n", 1_718_200_000)


def with_key(present: Present, key: Content) -> None:
    present.tree = FixedTree({**present.tree.files, KEY: key}, present.tree.packages)
    present.show(present.tree)


async def observe(vendor: House, *paths: str) -> Observation:
    swept = await vendor.app.observe("vendor", paths, with_packages=False)
    assert isinstance(swept, Observation), swept
    return swept


@pytest.mark.parametrize("order", [(KEY, INRELEASE, PACKAGES), (INRELEASE, PACKAGES, KEY)], ids=["first", "last"])
async def test_a_key_requested_in_a_recorded_live_build_is_recorded_and_replayed_offline(
    vendor: House, present: Present, tmp_path: Path, order: tuple[str, ...]
) -> None:
    with_key(present, OLD)
    for path in order:
        assert (await vendor.get("live", path, capture="build")).status == 200
    entries = {entry.path: entry for entry in (await vendor.app.captures.record("build")).entries}
    assert (entries[KEY].sha256, entries[KEY].proof) == (OLD.sha256, Proof.NONE)
    with_key(present, NEW)
    vendor.clock.leap(HOUR)
    assert (await vendor.get("live", KEY, capture="build")).data == OLD.data, "the first answer is final"
    await vendor.close()
    async with House(tmp_path / "house", rows=(present.vendor,), clock=vendor.clock, offline=True) as offline:
        for path in order:
            got = await offline.get("live", path, capture="build")
            assert (got.status, got.data) == (200, OLD.data if path == KEY else present.tree.files[path].data)


async def test_only_a_file_that_upstream_lacked_is_recorded_as_absent(vendor: House, present: Present) -> None:
    await vendor.get("live", INRELEASE, capture="build")
    assert (await vendor.get("live", KEY, capture="build")).status == 404
    then = str(vendor.app.observations.last(present.vendor, INRELEASE))
    unobserved = await vendor.get(then, "Release.key", capture="pinned")
    assert (unobserved.status, unobserved.refusal.reason) == (424, "Not stored when the archive was observed")
    absent = {
        name: [entry.path for entry in (await vendor.app.captures.record(name)).entries if entry.is_absence]
        for name in ("build", "pinned")
    }
    assert absent == {"build": [KEY], "pinned": []}


async def test_a_key_is_answered_as_it_was_observed_and_not_as_it_is_now(vendor: House, present: Present) -> None:
    """Once requested live, it is observed with every later observation."""
    before = await observe(vendor, INRELEASE)
    vendor.clock.leap(HOUR)
    with_key(present, OLD)
    assert (await vendor.get("live", KEY)).data == OLD.data
    vendor.clock.leap(HOUR)
    first = await observe(vendor, INRELEASE)
    assert first.beside == (KEY,)
    vendor.clock.leap(HOUR)
    with_key(present, NEW)
    second = await observe(vendor, INRELEASE)
    early = await vendor.get(str(before.at), KEY)
    assert (early.status, early.refusal.reason[:36]) == (410, "that is before the first observation")
    for swept, key in ((first, OLD), (second, NEW)):
        got = await vendor.get(str(swept.at), KEY)
        assert (got.status, got.data, got.proof) == (200, key.data, "none")


async def test_a_key_that_was_deleted_is_absent_from_the_next_observation_on(vendor: House, present: Present) -> None:
    with_key(present, OLD)
    first = await observe(vendor, INRELEASE, KEY)
    assert first.beside == (KEY,)
    present.show(FixedTree({path: each for path, each in present.tree.files.items() if path != KEY}))
    vendor.clock.leap(HOUR)
    second = await observe(vendor, INRELEASE)
    assert second.absent == (KEY,)
    assert [(await vendor.get(str(each.at), KEY)).status for each in (first, second)] == [200, 404]


async def test_a_small_live_file_is_not_refused_while_its_record_is_written(
    vendor: House, present: Present, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_key(present, OLD)
    put = vendor.store.catalog.put_fact

    async def slow(key: str, value: object, *, expires: int | None = None) -> None:
        await asyncio.sleep(0.3)
        await put(key, value, expires=expires)

    monkeypatch.setattr(vendor.store.catalog, "put_fact", slow)
    got = await vendor.get("live", KEY)
    assert (got.status, got.data) == (200, OLD.data)
