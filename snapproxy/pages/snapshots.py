"""The stored snapshots of an archive: those of which the store has roots."""

from __future__ import annotations

from snapproxy.base.names import roots_of
from snapproxy.core.model import Archive
from snapproxy_storage import StoreOverview

_AFTER_DIGITS = ":"
"""The character after the digits. The id of a snapshot begins with the year; the names of live files do not."""


async def stored_snapshots(overview: StoreOverview, archive: Archive, *, most: int, below: str = "") -> list[str]:
    """Return the ids of the newest stored snapshots, the newest first; only those before `below`, if it is an id."""
    edge = below if below and below < _AFTER_DIGITS else _AFTER_DIGITS
    spaces = await overview.spaces(roots_of(f"{archive.name}/"), most=most, below=roots_of(f"{archive.name}/{edge}"))
    return [space.removeprefix(roots_of(f"{archive.name}/")) for space in spaces]
