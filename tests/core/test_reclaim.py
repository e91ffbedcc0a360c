"""How many bytes are removed, and when."""

from __future__ import annotations

import pytest

from snapproxy.core.reclaim import ABOVE_FLOOR, excess, room_for

GB = 10**9
PLENTY = 10**15


@pytest.mark.parametrize(
    ("used", "limit", "removed"),
    [(950, 1000, 0), (951, 1000, 51), (1000, 1000, 100), (5000, 1000, 4100), (10**12, None, 0), (0, 1000, 0)],
)
def test_above_the_high_water_mark_files_are_removed_down_to_the_low_one(
    used: int, limit: int | None, removed: int
) -> None:
    limit = None if limit is None else limit * GB
    assert excess(used=used * GB, limit=limit, free=PLENTY, floor=0) == removed * GB


def test_files_are_removed_before_the_floor_is_reached() -> None:
    floor = 5 * GB
    assert excess(used=0, limit=None, free=floor + ABOVE_FLOOR, floor=floor) == 0
    assert excess(used=0, limit=None, free=floor, floor=floor) == 2 * ABOVE_FLOOR
    assert excess(used=0, limit=None, free=0, floor=floor) == floor + 2 * ABOVE_FLOOR
    assert excess(used=0, limit=None, free=0, floor=0) == 0, "without a floor, nothing"


def test_the_greater_of_both_needs_counts() -> None:
    assert excess(used=100 * GB, limit=100 * GB, free=0, floor=GB) == 10 * GB


def test_a_download_makes_room_for_the_next_ones_too() -> None:
    assert room_for(5, 1000 * GB) == 50 * GB + 5
    assert room_for(5, None) == ABOVE_FLOOR + 5
