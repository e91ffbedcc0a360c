"""`fsck` finds every damaged file, never serves it, fetches it again, and continues after a restart."""

from __future__ import annotations

import asyncio

import pytest

from snapproxy.space import fsck
from snapproxy.space.check_report import CheckReport, Repair
from snapproxy.space.fsck import PROGRESS, REPORT, ReadRate
from snapproxy_storage import blob_check
from tests.conftest import MakeHouse
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, content_of, later
from tests.fakes.house import House
from tests.fakes.leaping_clock import LeapingClock

AT = later(FIRST, 3600)
RATE = 1e12


@pytest.fixture
def kept(hamlet: Hamlet) -> str:
    return hamlet.edition.kept.path


@pytest.fixture
async def house(make_house: MakeHouse, kept: str) -> House:
    """A server that has served a root, an index and a package, into a capture."""
    house = await make_house()
    for path in (INRELEASE, PACKAGES, kept):
        assert (await house.get(AT, path, capture="build")).status == 200
        while not (await house.get(AT, path)).served.digest:
            await asyncio.sleep(0.01)  # the last byte is sent while the download ends
    return house


def rot(house: House, digest: str) -> None:
    """Change a byte, and record the changed file as verified, as if a disk returned another byte than it took."""
    file = house.folder / "state/blobs/sha256" / digest
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    house.store.blobs.record(digest, blob_check.identity_of(file.stat()))


def of(hamlet: Hamlet) -> str:
    return content_of(hamlet.edition.kept).digests["sha256"]


def only(report: CheckReport) -> tuple[Repair, tuple[str, ...]]:
    (damaged,) = report.damaged
    return damaged.outcome, damaged.names


async def test_an_intact_store_has_no_findings(house: House) -> None:
    report = await house.app.fsck.run(RATE)
    assert (report.checked, report.damaged, report.is_bad) == (3, (), False)
    assert report.blemishes.journals == 1
    assert report.blemishes.strangers == ()
    assert report.line().endswith("all files intact")


async def test_a_byte_that_changed_unseen_is_served_until_the_check_and_never_after(
    house: House, hamlet: Hamlet, kept: str
) -> None:
    good = (await house.get(AT, kept)).data
    rot(house, of(hamlet))
    assert (await house.get(AT, kept)).data != good, "no request can see this damage"
    report = await house.app.fsck.run(RATE)
    outcome, names = only(report)
    assert outcome is Repair.FETCHED
    name = f"debian/{FIRST}/{kept}"
    assert names == (f"capture build: {name}", name)
    assert not report.is_bad
    assert (await house.get(AT, kept)).data == good
    assert (house.folder / "state/quarantine" / of(hamlet)).exists()
    totals = await asyncio.to_thread(house.store.counters.totals)
    counted = {key: value for key, value in totals.items() if "_fsck_" in key and "bytes" not in key}
    assert counted == {
        "snapproxy_fsck_runs_total": 1,
        "snapproxy_fsck_checked_files_total": report.checked,
        "snapproxy_fsck_damaged_files_total": 1,
        "snapproxy_fsck_repaired_files_total": 1,
    }


async def test_offline_a_damaged_file_is_refused_and_reported(
    make_house: MakeHouse, house: House, hamlet: Hamlet, kept: str
) -> None:
    rot(house, of(hamlet))
    offline = await make_house(offline=True)
    report = await offline.app.fsck.run(RATE)
    assert only(report)[0] is Repair.REMOVED
    assert report.is_bad
    for each in (offline, await make_house(offline=True)):
        refused = await each.get(AT, kept)
        assert refused.status == 424
        assert "damaged" in refused.refusal.reason
    assert (await house.get(AT, kept)).status == 200, "online it is fetched"


async def test_a_file_of_which_upstream_has_other_bytes_is_lost(house: House, hamlet: Hamlet, kept: str) -> None:
    rot(house, of(hamlet))
    hamlet.past.stop()
    hamlet.now.stop()
    report = await house.app.fsck.run(RATE)
    assert only(report)[0] in (Repair.LOST, Repair.WAITING)
    assert report.damaged[0].why
    assert report.is_bad


async def test_a_root_is_fetched_again_from_its_snapshot(house: House, hamlet: Hamlet) -> None:
    served = await house.get(AT, INRELEASE)
    rot(house, served.served.digest)
    report = await house.app.fsck.run(RATE)
    assert only(report)[0] is Repair.FETCHED
    again = await house.get(AT, INRELEASE)
    assert (again.data, again.proof) == (served.data, served.proof)


async def test_a_file_that_no_name_needs_is_not_fetched(house: House, hamlet: Hamlet) -> None:
    begun = house.store.drafts.begin("loose")
    await begun.draft.write(b"loose" * 100)
    blob = await begun.draft.commit()
    blob.close()
    rot(house, blob.digest)
    before = len(hamlet.log.entries)
    report = await house.app.fsck.run(RATE)
    assert only(report) == (Repair.UNNEEDED, ())
    assert not report.is_bad
    assert len(hamlet.log.entries) == before


@pytest.mark.parametrize("seconds", [0.0, fsck.SAVE_SECONDS])
async def test_an_interrupted_check_continues_and_keeps_its_findings(
    make_house: MakeHouse, house: House, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(fsck, "SAVE_SECONDS", seconds)
    digests = await house.store.audit.digests()
    rot(house, digests[0])
    checked: list[str] = []
    real = house.store.audit.check

    async def interrupted(digest: str, pace: ReadRate) -> object:
        if len(checked) == 2:
            raise asyncio.CancelledError
        checked.append(digest)
        return await real(digest, pace)

    monkeypatch.setattr(house.store.audit, "check", interrupted)
    with pytest.raises(asyncio.CancelledError):
        await house.app.fsck.run_if_due(RATE, 86400.0)
    assert checked == digests[:2]
    assert house.store.catalog.fact(REPORT, 0) is None
    restarted = await make_house()
    report = await restarted.app.fsck.run_if_due(RATE, 86400.0)
    assert report is not None
    assert report.checked == len(digests)
    assert only(report)[0] is Repair.FETCHED
    assert restarted.store.catalog.fact(PROGRESS, 0) is None


async def test_a_check_is_due_once_a_period_in_one_process(make_house: MakeHouse, house: House) -> None:
    other = await make_house()
    assert house.store.slots.take(fsck.SLOT, 1) is not None
    assert await other.app.fsck.run_if_due(RATE, 3600.0) is None


async def test_a_check_is_due_again_after_its_period(make_house: MakeHouse, kept: str) -> None:
    clock = LeapingClock()
    house = await make_house(clock=clock)
    assert await house.app.fsck.run_if_due(RATE, 3600.0) is not None
    assert await house.app.fsck.run_if_due(RATE, 3600.0) is None
    clock.leap(3601)
    assert await house.app.fsck.run_if_due(RATE, 3600.0) is not None


async def test_a_period_that_ended_in_the_future_proves_nothing(house: House) -> None:
    await house.store.catalog.put_fact(REPORT, {"ended": house.clock.now() + 86400})
    assert await house.app.fsck.run_if_due(RATE, 30 * 86400.0) is not None


async def test_names_drafts_journals_and_strangers_are_counted(house: House, hamlet: Hamlet) -> None:
    await house.store.blobs.remove(of(hamlet))
    house.store.journals.open("f" * 32).close()
    (house.folder / "state/notes.txt").touch()
    found = (await house.app.fsck.run(RATE)).blemishes
    assert found.missing >= 1
    assert found.stray_journals == ("f" * 32,)
    assert found.strangers == ("notes.txt",)


async def test_the_rate_is_kept() -> None:
    waits: list[float] = []

    class Recording(LeapingClock):
        async def sleep(self, seconds: float) -> None:
            waits.append(seconds)
            await super().sleep(seconds)

    pace = ReadRate(1000, Recording())
    for _ in range(4):
        await pace(500)
    assert sum(waits) == pytest.approx(1.5, abs=0.1)
