"""What a clean-up removes, in which order, and what it must keep: the whole wiring in front of a tiny archive."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snapproxy.base.metrics import GC_RECLAIMED, GC_REMOVED, GC_RUNS
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ClientError
from snapproxy.indexes.helper_process import HelperDiedError
from snapproxy.space.collector import Collector
from snapproxy.space.order import Shortage
from snapproxy.space.pins import Pins, capture_pin, lock_pin, snapshot_pin
from snapproxy.space.protected_files import Cause
from snapproxy.wiring.space_keeper import SpaceKeeper
from snapproxy_storage import StorageFailure
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, content_of, later
from tests.fakes.house import House, until
from tests.fakes.present import Present

MakeHouse = Callable[..., Awaitable[House]]
AT, AFTER = later(FIRST, 3600), later(SECOND, 3600)
ALL = Shortage(blobs=1 << 40)


def collector(house: House) -> Collector:
    return house.app.collector


def is_stored(house: House, digest: str) -> bool:
    return house.store.blobs.size(digest) is not None


async def get_all(house: House, hamlet: Hamlet, at: str = AT, capture: str = "") -> dict[str, str]:
    """Request a root, an index and a package; return their digests by path."""
    package = hamlet.edition.kept
    when = FIRST if at == AT else SECOND
    for path in (INRELEASE, PACKAGES, package.path):
        assert (await house.get(at, path, capture=capture)).status == 200
    digests = {
        INRELEASE: hamlet.content(INRELEASE, when).sha256,
        PACKAGES: hamlet.content(PACKAGES, when).sha256,
        package.path: content_of(package).sha256,
    }
    await until(lambda: all(is_stored(house, digest) for digest in digests.values()))
    await until(lambda: house.named(when, package.path))
    return digests


async def test_a_dry_run_reports_and_removes_nothing(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet)
    report = await collector(house).run(ALL, is_dry_run=True)
    assert report.removed == report.removable == report.stored
    assert report.stored.files == 3
    assert all(is_stored(house, digest) for digest in digests.values())


async def test_unneeded_files_go_and_are_fetched_again(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet)
    report = await collector(house).run(ALL)
    assert (report.removed.files, report.pending, report.reclaimed) == (3, 0, report.removed.size)
    assert not any(is_stored(house, digest) for digest in digests.values())
    assert report.names >= 3
    assert not house.named(FIRST, PACKAGES)
    assert await get_all(house, hamlet) == digests


async def test_a_clean_up_is_counted_and_a_dry_run_is_not(
    house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await get_all(house, hamlet)
    await collector(house).run(ALL, is_dry_run=True)
    report = await collector(house).run(ALL)
    monkeypatch.setattr(house.store.served, "flush", broken)
    with pytest.raises(StorageFailure):
        await collector(house).run(ALL)
    totals = await asyncio.to_thread(house.store.counters.totals)
    assert {name: totals[name] for name in totals if name.startswith("snapproxy_gc_runs")} == {
        GC_RUNS.key("success"): 1,
        GC_RUNS.key("failure"): 1,
    }
    assert totals[GC_REMOVED.key("blob")] == report.removed.files == 3
    assert totals[GC_RECLAIMED.key("blob")] == report.removed.size


async def broken() -> None:
    raise StorageFailure("the disk reports errors")


async def test_a_file_that_a_client_reads_is_pending(house: House, hamlet: Hamlet) -> None:
    await get_all(house, hamlet)
    outcome: Any = await house.ask(AT, hamlet.edition.kept.path)
    report = await collector(house).run(ALL)
    assert report.pending == 303_104, "300,000 bytes in blocks of 4 KiB"
    assert report.reclaimed == report.removed.size - report.pending
    data = b"".join([piece async for piece in outcome.body.chunks(0, 300_000)])
    assert data == content_of(hamlet.edition.kept).data
    outcome.body.close()


async def test_the_files_served_first_go_first_and_no_more_than_needed(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet)
    now = house.clock.now()
    house.store.served.note(digests[hamlet.edition.kept.path], now + 7200)
    house.store.served.note(digests[PACKAGES], now + 14_400)
    report = await collector(house).run(Shortage(blobs=1))
    assert report.removed.files == 1
    assert not is_stored(house, digests[INRELEASE])
    await collector(house).run(Shortage(blobs=1))
    assert (is_stored(house, digests[PACKAGES]), is_stored(house, digests[hamlet.edition.kept.path])) == (True, False)


@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_capture_keeps_its_files_and_replays_them(house: House, hamlet: Hamlet, *, is_closed: bool) -> None:
    digests = await get_all(house, hamlet, capture="build")
    other = content_of(hamlet.edition.new).sha256
    await house.get(AFTER, hamlet.edition.new.path)
    await until(lambda: is_stored(house, other))
    if is_closed:
        await house.app.captures.close("build")
    report = await collector(house).run(ALL)
    assert report.protected[Cause.CAPTURE].files == 3
    assert all(is_stored(house, digest) for digest in digests.values())
    assert not is_stored(house, other)


async def test_what_a_removed_capture_was_served_can_go(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet, capture="build")
    await house.app.captures.remove("build")
    await collector(house).run(ALL)
    assert not any(is_stored(house, digest) for digest in digests.values())


async def test_a_capture_that_records_while_files_are_removed_keeps_them(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet)
    blobs: Any = house.store.blobs
    evict = blobs.evict

    async def recorded_first(chosen: Any, needed: Any) -> Any:
        await get_all(house, hamlet, capture="build")
        return await evict(chosen, needed)

    blobs.evict = recorded_first
    report = await collector(house).run(ALL)
    assert report.removed.files == 0
    assert all(is_stored(house, digest) for digest in digests.values())


async def test_a_capture_that_is_imported_while_files_are_removed_keeps_them(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet, capture="build")
    notes: Any = (await house.app.captures.open("build")).notes
    await house.app.captures.remove("build")
    blobs: Any = house.store.blobs
    evict = blobs.evict

    async def imported_first(chosen: Any, needed: Any) -> Any:
        if "other" not in house.app.captures.names():
            await house.app.captures.restore("other", replace(notes, is_closed=False), trusted=())
        return await evict(chosen, needed)

    blobs.evict = imported_first
    await collector(house).run(ALL)
    assert all(is_stored(house, digest) for digest in digests.values())


async def test_a_pin_that_is_added_while_files_are_removed_protects_them(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet)
    blobs: Any = house.store.blobs
    evict, pins = blobs.evict, Pins(house.store.catalog, blobs)

    async def pinned_first(chosen: Any, needed: Any) -> Any:
        await pins.add(snapshot_pin("debian", FIRST))
        return await evict(chosen, needed)

    blobs.evict = pinned_first
    report = await collector(house).run(ALL)
    assert report.removed.files == 0
    assert all(is_stored(house, digest) for digest in digests.values())


async def test_a_pinned_snapshot_keeps_what_the_store_has_of_it(house: House, hamlet: Hamlet) -> None:
    first, second = await get_all(house, hamlet), await get_all(house, hamlet, AFTER)
    pins = Pins(house.store.catalog, house.store.blobs)
    await pins.add(snapshot_pin("debian", FIRST))
    report = await collector(house).run(ALL)
    assert report.protected[Cause.PIN].files == 3
    assert all(is_stored(house, digest) for digest in first.values())
    assert not is_stored(house, second[INRELEASE])
    assert house.named(FIRST, INRELEASE)
    await pins.remove(snapshot_pin("debian", FIRST))
    assert (await collector(house).run(ALL)).removed.files == 3


async def test_what_a_pinned_snapshot_lists_is_kept_though_another_snapshot_named_it(
    house: House, hamlet: Hamlet
) -> None:
    digests = await get_all(house, hamlet)
    for path in (PACKAGES, hamlet.edition.kept.path):
        await house.store.catalog.drop_name(f"debian/{FIRST}", path)
    await Pins(house.store.catalog, house.store.blobs).add(snapshot_pin("debian", FIRST))
    await collector(house).run(ALL)
    assert all(is_stored(house, digest) for digest in digests.values())


async def test_an_index_that_cannot_be_read_now_stops_the_clean_up(
    house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The helper may have been killed: without the index it is unknown which files the pin needs."""
    digests = await get_all(house, hamlet)
    await Pins(house.store.catalog, house.store.blobs).add(snapshot_pin("debian", FIRST))
    for path in (PACKAGES, hamlet.edition.kept.path):
        await house.store.catalog.drop_name(f"debian/{FIRST}", path)

    async def killed(*_: Any) -> Any:
        raise HelperDiedError("The index could not be parsed")

    monkeypatch.setattr(house.app.tables, "all", killed)
    with pytest.raises(HelperDiedError):
        await collector(house).run(ALL)
    assert not await SpaceKeeper(house.store, collector(house)).make_room(1), "the service goes on"
    assert all(is_stored(house, digest) for digest in digests.values())


async def test_a_cache_that_was_deleted_does_not_stop_the_clean_up(house: House, hamlet: Hamlet) -> None:
    await get_all(house, hamlet)
    await asyncio.to_thread(shutil.rmtree, house.folder / "cache")
    assert await SpaceKeeper(house.store, collector(house)).make_room(1)


async def test_a_pinned_lock_keeps_its_files_without_its_capture(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet, capture="build")
    record = await house.app.captures.record("build")
    await house.app.captures.remove("build")
    pins, pin = Pins(house.store.catalog, house.store.blobs), lock_pin(record, "snapproxy.lock.json")
    await pins.add(pin, {entry.sha256: entry.size for entry in record.entries})
    assert pins.all() == [pin]
    assert (await collector(house).run(ALL)).protected[Cause.PIN].files == 3
    assert all(is_stored(house, digest) for digest in digests.values())
    await pins.remove(pin)
    assert pins.all() == []
    assert (await collector(house).run(ALL)).removed.files == 3
    with pytest.raises(ClientError):
        await pins.remove(pin)


async def test_an_observed_past_is_never_removed(vendor: House, present: Present) -> None:
    old, package = present.tree, present.package
    for path in (INRELEASE, PACKAGES, package):
        assert (await vendor.get("live", path)).status == 200
    span, _ = vendor.store.catalog.around(f"root/vendor/{INRELEASE}", vendor.clock.now())
    assert span is not None
    seen = span.last  # a later time may be far from the next observation, and be refused
    vendor.clock.leap(30 * 86400.0)
    present.publish()
    for path in (INRELEASE, PACKAGES, present.package):
        assert (await vendor.get("live", path)).status == 200
    for _ in range(2):  # the second clean-up reads no index again
        report = await vendor.app.collector.run(ALL)
        assert report.removed.files == 0
    present.mirror.stop()
    for path in (INRELEASE, PACKAGES, package):
        assert (await vendor.get(format_instant(seen), path)).data == old.files[path].data


async def test_packages_of_a_root_that_is_not_recorded_as_an_observation_yet_are_kept(
    vendor: House, present: Present
) -> None:
    async def not_yet(*_: Any) -> None: ...

    catalog: Any = vendor.store.catalog
    catalog.observe = catalog.observe_all = not_yet
    for path in (INRELEASE, PACKAGES, present.package):
        assert (await vendor.get("live", path)).status == 200
    package = present.tree.files[present.package].sha256
    await until(lambda: is_stored(vendor, package))
    await vendor.app.collector.run(ALL)
    assert is_stored(vendor, package)


async def test_the_present_set_is_kept_while_it_is_used(house: House, hamlet: Hamlet) -> None:
    for path in (INRELEASE, PACKAGES, hamlet.edition.kept.path):
        assert (await house.get("live", path)).status == 200
    await until(lambda: is_stored(house, content_of(hamlet.edition.kept).sha256))
    report = await collector(house).run(ALL)
    assert report.protected[Cause.LIVE].files == 2
    assert is_stored(house, hamlet.content(PACKAGES, SECOND).sha256)
    assert not is_stored(house, content_of(hamlet.edition.kept).sha256)
    house.clock.leap(8 * 86400.0)
    assert (await collector(house).run(ALL)).removed.files == 2


async def test_tables_go_before_blobs_if_the_disk_is_short(house: House, hamlet: Hamlet) -> None:
    digests = await get_all(house, hamlet)
    report = await collector(house).run(Shortage(disk=1))
    assert (report.tables.files, report.removed.files) == (0, 1), "tables in use stay"
    house.clock.leap(2 * 3600.0)
    report = await collector(house).run(Shortage(disk=1))
    assert (report.tables.files, report.removed.files) == (1, 0)
    assert sum(is_stored(house, digest) for digest in digests.values()) == 2


async def test_a_service_that_lacks_disk_space_removes_tables_first(
    house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = await get_all(house, hamlet)
    house.clock.leap(2 * 3600.0)
    before = await asyncio.to_thread(lambda: len([*house.store.tables.stored()]))
    monkeypatch.setattr(Collector, "_is_disk_short", lambda _: True)
    assert await collector(house).reclaim(1) > 0
    assert await asyncio.to_thread(lambda: len([*house.store.tables.stored()])) == before - 1
    assert all(is_stored(house, digest) for digest in digests.values())


async def test_a_capture_that_was_never_closed_expires_unless_it_is_pinned(
    house: House, hamlet: Hamlet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("abandoned", "pinned", "running", "closed"):
        await get_all(house, hamlet, capture=name)
    await house.app.captures.close("closed")
    captures, pins = house.app.captures, Pins(house.store.catalog, house.store.blobs)
    await pins.add(capture_pin(captures, "pinned"))
    keys = {name: key for key, name in captures.ids().items()}
    for name in ("abandoned", "pinned"):
        at = house.clock.now() - 31 * 86400
        os.utime(house.folder / "state/journals" / keys[name], (at, at))
    assert (await collector(house).run(is_dry_run=True)).expired == ["abandoned"]
    assert (await collector(house).run()).expired == ["abandoned"]
    assert captures.names() == ["closed", "pinned", "running"]
    assert "The capture abandoned has expired" in caplog.text


async def test_a_pin_of_a_capture_survives_its_new_name(house: House, hamlet: Hamlet) -> None:
    await get_all(house, hamlet, capture="build")
    pins = Pins(house.store.catalog, house.store.blobs)
    await pins.add(capture_pin(house.app.captures, "build"))
    await house.app.captures.rename("build", "other")
    assert pins.has(capture_pin(house.app.captures, "other"))
    with pytest.raises(ClientError, match="No capture has that name"):
        capture_pin(house.app.captures, "build")


async def test_protected_files_that_fill_the_quota_refuse_captures_and_store_nothing(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    house = await make_house(quota=720_000)
    keeper = SpaceKeeper(house.store, collector(house))
    house.store.space.on_shortage(keeper.make_room)
    edition = hamlet.edition
    for path in (INRELEASE, PACKAGES, edition.kept.path, edition.old.path, edition.weak.path):
        assert (await house.get(AT, path, capture="build")).status == 200
    for _ in range(2):
        got = await house.get(AFTER, edition.new.path)
        assert (got.status, got.data) == (200, content_of(edition.new).data)
        assert not is_stored(house, content_of(edition.new).sha256)
    refused = (await house.get(AT, INRELEASE, capture="other")).refusal
    assert refused.status == 403
    assert refused.reason == "Files that may not be removed fill the quota: no new capture is recorded"
    assert "of the quota of 720000" in refused.why
    assert (await house.get(AT, edition.kept.path, capture="build")).status == 200
    assert house.store.space.stored + house.store.space.kept + house.store.space.reserved <= 720_000
    for _ in range(12):
        house.clock.leap(3600.0)
        await keeper.keep()
        assert (await house.get(AFTER, edition.new.path)).data == content_of(edition.new).data
        assert (await house.get(AT, INRELEASE, capture="other")).status == 403
    await house.app.captures.remove("build")
    await keeper.keep()
    assert (await house.get(AT, INRELEASE, capture="other")).status == 200
    house.clock.leap(3600.0)  # until then the file is in memory
    house.store.space._vain_until = 0.0  # type: ignore[attr-defined] # five seconds later
    assert (await house.get(AFTER, edition.new.path)).status == 200
    await until(lambda: is_stored(house, content_of(edition.new).sha256))
