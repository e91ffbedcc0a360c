"""The packages that an observed instant keeps.

They are the requested ones, all, or only those that the store happens to have.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import format_instant
from tests.fakes.hamlet import INRELEASE, PACKAGES
from tests.fakes.house import PATIENT, House, until
from tests.fakes.present import Present


@pytest.mark.parametrize("is_kept", [True, False], ids=["used", "none"])
async def test_a_package_that_was_asked_for_is_named_at_its_instant_unless_none_is_kept(
    present: Present, tmp_path: Path, *, is_kept: bool
) -> None:
    old, package = present.tree, present.package
    row = replace(present.vendor, keeps_packages=is_kept)
    async with House(tmp_path / "house", rows=(row,), timeouts=PATIENT) as vendor:
        swept = await vendor.app.observe("vendor", [INRELEASE], with_packages=False)
        assert not isinstance(swept, Refusal)
        then = format_instant(swept.at)
        brought = await vendor.get(then, package)
        assert (brought.data, brought.served.cache, brought.proof) == (old.files[package].data, "MISS", "gpg")
        present.publish()
        again = await vendor.get(then, package)
        assert (again.data, again.served.cache, again.proof) == (brought.data, "HIT", "gpg")
        if is_kept:
            await until(lambda: vendor.named(then, package))
        assert vendor.named(then, package) == is_kept
        assert vendor.named(then, INRELEASE)
        await until(
            lambda: not vendor.app.executor._downloads._flights
        )  # a hit is possible before the flight has ended
        vendor.evict(again.served.digest)
        gone = await vendor.get(then, package)
        assert (gone.status, gone.refusal.reason) == (
            424,
            "This package was listed but not stored, and no mirror has it now",
        )
        assert ('packages = "none"' in gone.refusal.hint) != is_kept
        assert (await vendor.get(then, PACKAGES)).data == old.files[PACKAGES].data
