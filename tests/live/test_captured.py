"""An archive whose history only snapproxy has.

It is observed live and served at an instant, with the whole wiring.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.core.model import Instant, Proof
from snapproxy.core.plan_model import StoredFile
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.families import FAMILIES
from snapproxy.jobs.sweep import Observation
from snapproxy.live.observations import RootPair
from tests.fakes.hamlet import INRELEASE, PACKAGES, RELEASE, SIGNATURE
from tests.fakes.house import PATIENT, House
from tests.fakes.present import Present, by_hash

HOUR = 3600.0


async def look(vendor: House, *paths: str) -> str:
    """Request files live, as a client's update does; return the instant at which their root was observed."""
    for path in paths or (INRELEASE, PACKAGES):
        got = await vendor.get("live", path)
        assert got.status == 200, (path, got)
    span, _ = vendor.store.catalog.around(f"root/vendor/{INRELEASE}", int(vendor.clock.now()))
    assert span is not None
    return format_instant(span.last)


async def test_what_was_seen_is_answered_after_upstream_has_gone_on(vendor: House, present: Present) -> None:
    old = present.tree
    package = present.package
    await look(vendor, INRELEASE, PACKAGES, package)
    vendor.clock.leap(HOUR)
    then = await look(vendor, INRELEASE)
    vendor.clock.leap(HOUR)
    present.publish()
    await look(vendor)
    for path in (INRELEASE, PACKAGES, by_hash(old, PACKAGES), package):
        got = await vendor.get(then, path)
        assert (got.status, got.data) == (200, old.files[path].data), path
        assert got.proof == "gpg"
    headers = (await vendor.get(then, INRELEASE)).headers
    start, end = headers["X-Snapproxy-Valid"].split("/")
    assert start <= then <= end
    assert "X-Snapproxy-Note" not in headers


async def test_between_two_different_observations_the_answer_says_what_it_is(vendor: House, present: Present) -> None:
    old = present.tree
    seen = vendor.clock.now()
    await look(vendor)
    vendor.clock.leap(2 * HOUR)
    present.publish()
    await look(vendor)
    got = await vendor.get(format_instant(seen + int(HOUR)), INRELEASE)
    assert got.data == old.files[INRELEASE].data
    assert got.headers["X-Snapproxy-Note"].startswith("sure up to ")


async def test_beyond_and_before_what_was_seen_is_refused(vendor: House) -> None:
    before = format_instant(vendor.clock.now() - 10)
    assert (await vendor.get(before, INRELEASE)).status == 425, "never observed at all"
    await look(vendor)
    vendor.clock.leap(HOUR)
    beyond = await vendor.get(format_instant(vendor.clock.now()), INRELEASE)
    assert beyond.status == 425
    assert "later than the last observation: use" in beyond.refusal.reason
    usable = beyond.refusal.reason.rpartition(" ")[2]
    assert (await vendor.get(usable, INRELEASE)).status == 200
    early = await vendor.get(before, INRELEASE)
    assert (early.status, early.refusal.reason.rpartition(" ")[2]) == (410, usable)


async def test_a_gap_longer_than_the_row_believes_is_refused(present: Present, tmp_path: Path) -> None:
    row = replace(present.vendor, max_gap=int(HOUR))
    async with House(tmp_path / "house", rows=(row,), timeouts=PATIENT) as vendor:
        seen = vendor.clock.now()
        await look(vendor)
        vendor.clock.leap(3 * HOUR)
        present.publish()
        await look(vendor)
        answer = await vendor.get(format_instant(seen + int(2 * HOUR)), INRELEASE)
        assert (answer.status, "gap" in answer.refusal.reason) == (410, True)


async def test_a_package_that_was_not_kept_is_brought_while_upstream_has_it_and_named_after(
    vendor: House, present: Present
) -> None:
    package, old = present.package, present.tree
    then = await look(vendor)
    got = await vendor.get(then, package)
    assert (got.status, got.data) == (200, old.files[package].data)
    vendor.clock.leap(HOUR)
    present.publish()
    gone = present.package
    then = await look(vendor)
    vendor.clock.leap(HOUR)
    present.publish()
    await look(vendor)
    got = await vendor.get(then, gone)
    assert (got.status, got.refusal.reason) == (424, "This package was listed but not stored, and no mirror has it now")


async def test_a_package_is_found_through_whichever_root_was_seen_then(vendor: House, present: Present) -> None:
    old, package = present.tree, present.package
    await look(vendor, INRELEASE, RELEASE, SIGNATURE, PACKAGES, package)
    then = await look(vendor, INRELEASE)
    vendor.clock.leap(HOUR)
    await look(vendor, INRELEASE, RELEASE)
    for path in (package, RELEASE, SIGNATURE):
        got = await vendor.get(then, path)
        assert (got.status, got.data) == (200, old.files[path].data), path


@pytest.mark.parametrize("has_etags", [True, False])
async def test_a_root_that_goes_back_in_time_is_answered_as_it_was_seen(
    vendor: House, present: Present, caplog: pytest.LogCaptureFixture, *, has_etags: bool
) -> None:
    present.mirror.has_etags = has_etags
    trees, seen = [present.tree], []
    for turn in range(3):
        if turn == 1:
            trees.append(present.publish())
        if turn == 2:
            trees.append(trees[0])
            present.show(trees[0])
        await look(vendor, INRELEASE)
        vendor.clock.leap(HOUR)
        seen.append(await look(vendor))
        vendor.clock.leap(HOUR)
    assert "is older than the root that was observed before" in caplog.text
    for tree, then in zip(trees, seen, strict=True):
        for path in (INRELEASE, PACKAGES):
            assert (await vendor.get(then, path)).data == tree.files[path].data


async def test_a_clock_that_steps_back_breaks_no_answer(vendor: House, present: Present) -> None:
    old = present.tree
    vendor.clock.leap(10 * HOUR)
    late = await look(vendor)
    vendor.clock.leap(-5 * HOUR)
    present.publish()
    early = await look(vendor)
    vendor.clock.leap(7 * HOUR)
    new = present.tree
    await look(vendor)
    for then, tree in ((early, new), (late, old)):
        got = {path: await vendor.get(then, path) for path in (INRELEASE, PACKAGES)}
        assert {path: each.data for path, each in got.items()} == {path: tree.files[path].data for path in got}


async def test_whatever_the_clock_does_no_span_goes_across_another_state(vendor: House, present: Present) -> None:
    """The clock steps back and forward, as after a boot without a network clock.

    Each observation is served, and each stated validity is true of every observation.
    """
    shown: dict[Instant, bytes] = {}
    steps = [1, 1, -2.5, 1, 30, 1, -31, 0.5, 0.5, -1.75, 5, -3, 0.25, 40, -38]
    for turn, hours in enumerate(steps):
        vendor.clock.leap(hours * HOUR + turn)
        if turn % 3 == 2:
            present.publish()
        swept = await vendor.app.observe("vendor", [INRELEASE], with_packages=False)
        assert isinstance(swept, Observation), swept
        shown[swept.at] = present.tree.files[INRELEASE].data
    vendor.clock.leap(100 * HOUR)
    assert len(shown) == len(steps)
    for then, data in shown.items():
        got = await vendor.get(format_instant(then), INRELEASE)
        assert got.data == data, format_instant(then)
        first, last = (parse_time(each).instant or 0 for each in got.headers["X-Snapproxy-Valid"].split("/"))
        assert {other for at, other in shown.items() if first <= at <= last} == {data}


async def test_two_states_seen_in_one_second_are_not_both_written_down(vendor: House, present: Present) -> None:
    then = parse_time(await look(vendor, INRELEASE)).instant
    assert then is not None
    old, row, seen = present.tree.files[INRELEASE], present.vendor, vendor.app.observations
    other = StoredFile(INRELEASE, "0" * 64, 1, Proof.GPG)
    assert not await seen.record(row, FAMILIES["apt"], [RootPair(other)], then)
    assert await seen.record(row, FAMILIES["apt"], [RootPair(other)], then + 1)
    assert (await vendor.get(format_instant(then), INRELEASE)).data == old.data


async def test_a_marked_observation_is_passed_over(present: Present, tmp_path: Path) -> None:
    old = present.tree
    async with House(tmp_path / "house", rows=(present.vendor,), timeouts=PATIENT) as vendor:
        await look(vendor)
        vendor.clock.leap(HOUR)
        present.publish()
        await look(vendor)
        clock = vendor.clock
        span, _ = vendor.store.catalog.around(f"root/vendor/{INRELEASE}", clock.now())
        assert span is not None
        clock.leap(HOUR)
        present.publish()
        await look(vendor)
    bad = replace(present.vendor, bad=(span.first,))
    async with House(tmp_path / "house", rows=(bad,), timeouts=PATIENT, clock=clock) as vendor:
        refused = await vendor.get(format_instant(span.first), INRELEASE)
        assert (refused.status, "marked bad" in refused.refusal.reason) == (410, True)
        got = await vendor.get(format_instant(span.first + 60), INRELEASE)
        assert got.data == old.files[INRELEASE].data
        assert "marked bad and was skipped" in got.headers["X-Snapproxy-Note"]


async def test_an_instant_is_settled_by_three_look_ups(
    vendor: House, present: Present, monkeypatch: pytest.MonkeyPatch
) -> None:
    await look(vendor)
    vendor.clock.leap(HOUR)
    then = await look(vendor)
    asked: list[str] = []
    catalog = vendor.store.catalog
    read = catalog._read  # type: ignore[attr-defined]  # where every SQL query of a reader passes
    monkeypatch.setattr(
        catalog, "_read", lambda statement, *values: asked.append(statement) or read(statement, *values)
    )
    facts = vendor.app.executor._planner._facts
    history = vendor.app.executor._histories["captured"]
    assert (
        facts._observations.sightings(present.vendor, history, (INRELEASE,), int(vendor.clock.now()))[0].before
        is not None
    )
    assert 1 <= len(asked) <= 3
    assert then


async def test_many_clients_at_once_leave_one_observation(vendor: House, present: Present) -> None:
    await asyncio.gather(*(look(vendor) for _ in range(10)))
    assert len(vendor.store.catalog.keys("root/vendor/")) == 1
