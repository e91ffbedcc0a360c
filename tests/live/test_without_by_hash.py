"""Archives without by-hash names: an index of an observed instant is fetched by its canonical name and verified."""

from __future__ import annotations

from tests.fakes.faults import Status
from tests.fakes.hamlet import INRELEASE, PACKAGES
from tests.fakes.house import House
from tests.fakes.present import Present


def without_by_hash(present: Present) -> None:
    present.mirror.fault("*/by-hash/*", Status(404))


async def test_a_recorded_live_update_fetches_an_index_by_its_canonical_name(vendor: House, present: Present) -> None:
    without_by_hash(present)
    for path in (INRELEASE, PACKAGES):
        got = await vendor.get("live", path, capture="build")
        assert (got.status, got.data) == (200, present.tree.files[path].data), got
        assert got.proof == "gpg"


async def test_an_index_of_an_observed_instant_is_fetched_by_its_canonical_name(
    vendor: House, present: Present
) -> None:
    """The observation has the root only, as one by a client that requested nothing else."""
    without_by_hash(present)
    await vendor.get("live", INRELEASE)
    got = await vendor.get(str(vendor.app.observations.last(present.vendor, INRELEASE)), PACKAGES)
    assert (got.status, got.data, got.proof) == (200, present.tree.files[PACKAGES].data, "gpg")


async def test_todays_index_is_not_served_for_an_observed_instant(vendor: House, present: Present) -> None:
    """The mirror has replaced the file, with another one of the same size or of another size."""
    without_by_hash(present)
    await vendor.get("live", INRELEASE)
    then = str(vendor.app.observations.last(present.vendor, INRELEASE))
    present.publish()
    got = await vendor.get(then, PACKAGES)
    reason = "This index was observed but not stored, and no mirror has it now"
    assert (got.status, got.refusal.reason) == (424, reason)
    assert present.asked(PACKAGES), "requested by its canonical name"
