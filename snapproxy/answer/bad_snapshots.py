"""Instants that were marked bad by hand: an archive caught in the middle of a sync, a snapshot that is broken.

Facts `bad/<archive>`: snapshot id -> why. They stand beside the row's `bad`, and a mark made by one process is obeyed by the next
request of every other: the epoch tells.
"""

from __future__ import annotations

from dataclasses import replace

from snapproxy.core.model import Archive, Instant
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy_storage import Catalog


class BadSnapshots:
    """Lays the marks over the rows. Reading one costs a look at the epoch."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._marked: dict[str, tuple[int, Archive, Archive]] = {}

    def on(self, archive: Archive) -> Archive:
        """Return the row as it is marked now."""
        epoch = self._catalog.epoch  # before the fact: a mark that is made in between raises it once more
        known = self._marked.get(archive.name)
        if known is None or known[:2] != (epoch, archive):
            marks = self._marks(archive)
            marked = replace(archive, bad=(*archive.bad, *marks), because=tuple(marks.items())) if marks else archive
            known = self._marked[archive.name] = (epoch, archive, marked)
        return known[2]

    async def put(self, archive: Archive, instant: Instant, because: str) -> None:
        """Mark an instant bad; a second mark says why anew."""
        await self._catalog.update_fact(
            _key(archive), lambda marks: (marks or {}) | {format_instant(instant): because}, takes_back=True
        )

    async def drop(self, archive: Archive, instant: Instant) -> bool:
        """Take a mark back; False when there is none."""
        if instant not in self._marks(archive):
            return False
        await self._catalog.update_fact(
            _key(archive),
            lambda marks: {each: why for each, why in (marks or {}).items() if each != format_instant(instant)},
            takes_back=True,
        )
        return True

    def _marks(self, archive: Archive) -> dict[Instant, str]:
        told: dict[str, str] = self._catalog.fact(_key(archive), 0) or {}
        return {instant: why for each, why in told.items() if (instant := parse_time(each).instant) is not None}


def _key(archive: Archive) -> str:
    return f"bad/{archive.name}"
