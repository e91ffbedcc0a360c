"""The forms of a root that upstream lacks: their absence is part of an observation, and a failure is not an absence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import format_instant
from snapproxy.download import attempt
from snapproxy.jobs import sweep
from snapproxy.jobs.sweep import Observation
from tests.fakes.content import FixedTree
from tests.fakes.faults import Status
from tests.fakes.hamlet import INRELEASE, PACKAGES, RELEASE, SIGNATURE, Edition
from tests.fakes.house import PATIENT, House, until
from tests.fakes.present import Present

HOUR = 3600.0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(attempt, "ABSENCE_RETRY_SECONDS", 0.01)


@pytest.fixture
async def vendor(split: Present, tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house", rows=(split.vendor,), timeouts=PATIENT) as house:
        yield house


async def observe(vendor: House, *paths: str) -> Observation:
    swept = await vendor.app.observe("vendor", paths, with_packages=False)
    assert isinstance(swept, Observation), swept
    return swept


async def statuses(vendor: House, when: str, *paths: str) -> list[int]:
    return [(await vendor.get(when, path)).status for path in paths]


@pytest.mark.parametrize("named", [INRELEASE, RELEASE, PACKAGES])
async def test_an_absent_inrelease_of_an_observed_release_is_a_404(
    vendor: House, split: Present, tmp_path: Path, named: str
) -> None:
    swept = await observe(vendor, named)
    assert (swept.roots, swept.absent) == ((RELEASE,), (INRELEASE,))
    then = format_instant(swept.at)
    assert await statuses(vendor, then, INRELEASE, RELEASE, SIGNATURE, PACKAGES) == [404, 200, 200, 200]
    absent = (await vendor.get(then, INRELEASE)).headers
    assert absent["X-Snapproxy-Snapshot"] == f"vendor/{then}"
    await vendor.close()
    async with House(tmp_path / "house", rows=(split.vendor,), clock=vendor.clock, offline=True) as offline:
        assert await statuses(offline, then, INRELEASE, RELEASE, SIGNATURE, PACKAGES) == [404, 200, 200, 200]


async def test_an_absence_answers_between_two_equal_observations_and_not_beyond(vendor: House, split: Present) -> None:
    first = await observe(vendor, RELEASE)
    vendor.clock.leap(HOUR)
    second = await observe(vendor, RELEASE)
    between = await vendor.get(format_instant(first.at + 60), INRELEASE)
    assert between.status == 404
    assert between.headers["X-Snapproxy-Valid"] == f"{format_instant(first.at)}/{format_instant(second.at)}"
    vendor.clock.leap(HOUR)
    assert await statuses(vendor, str(first.at - 60), INRELEASE) == [410]
    assert await statuses(vendor, str(second.at + 60), INRELEASE) == [425]


async def test_an_inrelease_that_appears_later_is_observed_and_does_not_answer_for_before(
    vendor: House, split: Present, edition: Edition
) -> None:
    first = await observe(vendor, RELEASE)
    whole = Present(edition.key)
    whole.close()
    split.show(whole.tree)
    vendor.clock.leap(HOUR)
    second = await observe(vendor, RELEASE)
    assert (set(second.roots), second.absent) == ({INRELEASE, RELEASE}, ())
    assert await statuses(vendor, str(first.at), INRELEASE) == [404]
    assert await statuses(vendor, str(second.at), INRELEASE, RELEASE) == [200, 200]
    between = await vendor.get(str(first.at + 60), INRELEASE)
    assert (between.status, between.headers["X-Snapproxy-Note"][:10]) == (404, "sure up to")


async def test_a_failure_is_not_an_absence(vendor: House, split: Present) -> None:
    split.mirror.fault(f"*{INRELEASE}", Status(403))
    refusal = await vendor.app.observe("vendor", [RELEASE], with_packages=False)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 424
    assert await statuses(vendor, str(vendor.clock.now()), INRELEASE) == [425]


async def test_a_404_from_before_a_sweep_is_not_an_absence_in_it(
    vendor: House, split: Present, edition: Edition
) -> None:
    """A 404 is kept for ten minutes; in a sweep upstream is asked."""
    assert await statuses(vendor, "live", INRELEASE) == [404]
    whole = Present(edition.key)
    whole.close()
    split.show(whole.tree)
    vendor.clock.leap(60)
    swept = await observe(vendor, PACKAGES)
    assert (swept.roots, swept.absent) == ((INRELEASE,), ())


async def test_an_unsigned_release_has_no_signature_at_its_instant(split: Present, tmp_path: Path) -> None:
    unsigned = {path: content for path, content in split.tree.files.items() if path != SIGNATURE}
    split.show(FixedTree(unsigned, split.tree.packages))
    row = replace(split.vendor, keyrings=())
    async with House(tmp_path / "unsigned", rows=(row,), timeouts=PATIENT) as vendor:
        swept = await observe(vendor, RELEASE)
        assert await statuses(vendor, str(swept.at), INRELEASE, RELEASE, SIGNATURE) == [404, 200, 404]


@pytest.mark.parametrize("pause", [0.0, 300.0], ids=["one-update", "an-older-404"])
async def test_a_live_update_without_inrelease_can_be_repeated_at_its_instant(
    vendor: House, split: Present, pause: float
) -> None:
    assert await statuses(vendor, "live", INRELEASE) == [404]
    vendor.clock.leap(pause)
    assert await statuses(vendor, "live", RELEASE, SIGNATURE, PACKAGES) == [200, 200, 200]
    then = vendor.app.observations.last(split.vendor, RELEASE)
    vendor.clock.leap(HOUR)
    await until(lambda: (vendor.app.observations.last(split.vendor, INRELEASE) or 0) >= (then or 0))
    assert await statuses(vendor, str(then), INRELEASE, RELEASE, SIGNATURE, PACKAGES) == [404, 200, 200, 200]


async def test_a_recorded_live_update_without_inrelease_is_replayed_offline(
    vendor: House, split: Present, tmp_path: Path
) -> None:
    paths = (INRELEASE, RELEASE, SIGNATURE, PACKAGES)
    assert [(await vendor.get("live", path, capture="build")).status for path in paths] == [404, 200, 200, 200]
    await vendor.close()
    async with House(tmp_path / "house", rows=(split.vendor,), clock=vendor.clock, offline=True) as offline:
        assert [(await offline.get("live", path, capture="build")).status for path in paths] == [404, 200, 200, 200]
