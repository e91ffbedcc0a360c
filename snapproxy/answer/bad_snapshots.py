"""Snapshots that a user marked bad: taken in the middle of a synchronisation, or otherwise broken.

Stored as facts `bad/<archive>` (snapshot id -> reason), beside the `bad` of the configuration. The store's epoch
changes with each mark, so that every process applies a mark from its next request on.
"""

from __future__ import annotations

from dataclasses import replace

from snapproxy.core.model import Archive, Instant
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy_storage import Catalog


class BadSnapshots:
    """Adds the marks to the archives of the configuration. A request reads only the epoch."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._marked: dict[str, tuple[int, Archive, Archive]] = {}

    def applied(self, archive: Archive) -> Archive:
        """Return the archive with its marks as they are now."""
        epoch = self._catalog.epoch  # read before the marks: a mark made in between changes it again
        known = self._marked.get(archive.name)
        if known is None or known[:2] != (epoch, archive):
            marks = self._marks(archive)
            marked = replace(archive, bad=(*archive.bad, *marks), because=tuple(marks.items())) if marks else archive
            known = self._marked[archive.name] = (epoch, archive, marked)
        return known[2]

    async def put(self, archive: Archive, instant: Instant, because: str) -> None:
        """Mark an instant bad; a second mark replaces the reason."""
        await self._catalog.update_fact(
            _key(archive), lambda marks: (marks or {}) | {format_instant(instant): because}, invalidates=True
        )

    async def drop(self, archive: Archive, instant: Instant) -> bool:
        """Remove a mark; return False if the snapshot has none."""
        if instant not in self._marks(archive):
            return False
        await self._catalog.update_fact(
            _key(archive),
            lambda marks: {each: why for each, why in (marks or {}).items() if each != format_instant(instant)},
            invalidates=True,
        )
        return True

    def _marks(self, archive: Archive) -> dict[Instant, str]:
        stored: dict[str, str] = self._catalog.fact(_key(archive), 0) or {}
        return {instant: why for each, why in stored.items() if (instant := parse_time(each).instant) is not None}


def _key(archive: Archive) -> str:
    return f"bad/{archive.name}"
