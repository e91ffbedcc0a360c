"""Helpers shared by tests of live mode: intervals, and earlier requests."""

from __future__ import annotations

from snapproxy.live.live_files import FRESH_SECONDS
from tests.fakes.house import House

STALE_ENOUGH = FRESH_SECONDS + 1.0
LATER = 700.0
"""Seconds after which every cached answer is stale."""


async def warm(house: House, *paths: str) -> None:
    for path in paths:
        assert (await house.get("live", path)).status == 200, path
