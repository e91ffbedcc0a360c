"""When stored files are removed to make room, and how many bytes of them."""

from __future__ import annotations

from typing import Protocol

HIGH_WATER = 0.95
LOW_WATER = 0.90
"""Parts of the quota: above the first, files are removed until the second is left, so that downloads rarely wait."""

ABOVE_FLOOR = 256 << 20
"""Bytes above the floor of free space at which files are removed, and of which twice as many are free afterwards."""


_MOST_TABLES = 8 << 30
_LEAST_TABLES = 256 << 20


class Reclaimer(Protocol):
    """Removes stored files that nothing needs, derived data first, then the blobs that were not served for longest."""

    async def reclaim(self, wanted: int) -> int:
        """Remove files of `wanted` bytes at least, if so many may be removed. Return the bytes that were removed."""


def excess(*, used: int, limit: int | None, free: int, floor: int) -> int:
    """Return the bytes to remove: 0 below the high-water mark, otherwise down to the low-water mark.

    `used`: the bytes of blobs and drafts; `limit`: the quota; `free`: of the file system; `floor`: that must stay free.
    """
    over_quota = used - int(limit * LOW_WATER) if limit is not None and used > limit * HIGH_WATER else 0
    under_floor = floor + 2 * ABOVE_FLOOR - free if floor and free < floor + ABOVE_FLOOR else 0
    return max(0, over_quota, under_floor)


def most_tables(limit: int | None) -> int:
    """Return the maximum bytes of index tables: a tenth of the quota, 256 MiB to 8 GiB."""
    return _MOST_TABLES if limit is None else min(_MOST_TABLES, max(_LEAST_TABLES, limit // 10))


def room_for(wanted: int, limit: int | None) -> int:
    """Return the bytes to remove for a download that lacks `wanted`: more, so that the next ones need not wait too."""
    return wanted + (ABOVE_FLOOR if limit is None else int(limit * (1 - HIGH_WATER)))
