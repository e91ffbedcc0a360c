"""Bound everything that clients can make grow besides stored files: rows of the catalog, and index tables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from snapproxy.base.names import ABOUT_BLOBS, alias_spaces, roots_of
from snapproxy.core.reclaim import most_tables
from snapproxy.space.order import Shortage, tables_to_remove
from snapproxy_storage import Store

MOST_NAMES = 2_000_000
"""Maximum number of names that may be forgotten, of files at instants: about 500 MB of the catalog."""

MOST_FACTS = 200_000
"""Maximum number of expiring facts: windows of timelines, states of live files."""


@dataclass(frozen=True, kw_only=True)
class Tidy:
    """The bounds of one store. `kept_spaces` returns the spaces `<archive>/<snapshot>` whose names are needed."""

    store: Store
    archives: Sequence[str]
    kept_spaces: Callable[[], Collection[str]] = frozenset
    most_names: int = MOST_NAMES
    most_facts: int = MOST_FACTS

    async def bound(self, now: int) -> None:
        """Delete expired rows, the oldest rows, and the index tables that were not opened for longest."""
        kept = [each for space in self.kept_spaces() for each in (space, roots_of(space))]
        await self.store.catalog.tidy(now, most_names=self.most_names, most_facts=self.most_facts, kept=kept)
        await asyncio.to_thread(self.trim_tables, most_tables(self.store.space.limit), now)

    def trim_tables(self, most: int, now: int) -> None:
        """Remove the tables that were not opened for longest until at most `most` bytes are left. It blocks."""
        for table in tables_to_remove(self.store.tables.stored(), Shortage(), most=most, now=now):
            self.store.tables.remove(table.digest, table.version)

    async def forget_removed_files(self) -> None:
        """Delete the catalog's rows about blobs that are not stored any more."""
        blobs = self.store.blobs
        await self.store.catalog.drop_dangling(
            lambda digest: blobs.size(digest) is not None, spaces=alias_spaces(self.archives), facts=ABOUT_BLOBS
        )
