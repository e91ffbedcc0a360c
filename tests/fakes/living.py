"""What tests of live mode share: how much time has to pass, and what was asked for before."""

from __future__ import annotations

from snapproxy.live.live_files import FRESH_SECONDS
from tests.fakes.house import House

STALE_ENOUGH = FRESH_SECONDS + 1.0
LATER = 700.0
"""Seconds after which nothing that was learnt a moment ago is believed any more."""


async def warm(house: House, *paths: str) -> None:
    for path in paths:
        assert (await house.get("live", path)).status == 200, path
