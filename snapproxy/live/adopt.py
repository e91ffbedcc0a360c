"""Download, before a new root is adopted, the successor of every stored index of the old root (rule 7)."""

from __future__ import annotations

import asyncio

from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.core.model import ExpectedFile, Refusal
from snapproxy.core.sources import fetch_expected_now
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import Stored
from snapproxy.errors import SnapproxyError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy_storage import Blobs

ADOPTION_SECONDS = 60.0
"""Maximum time for the download of the successors, in seconds; after it the old root and its indexes are served until
the next check.
"""


class SetAdopter:
    """Downloads the indexes of a root that is about to be adopted."""

    def __init__(self, *, blobs: Blobs, names: Names, downloads: Downloads, tables: IndexTables, clock: Clock) -> None:
        self._blobs = blobs
        self._names = names
        self._downloads = downloads
        self._tables = tables
        self._clock = clock

    async def download_successors(self, context: RequestContext, root: str, old: str, new: str) -> bool:
        """Download the successors of the stored indexes of `old` (a digest of the root at path `root`).

        Return whether all are stored.

        An index that the new root no longer lists has no successor. A new root that cannot be read is not adopted
        either. A root that lists packages itself has no indexes.
        """
        if context.family.roots_list_packages:
            return True
        try:
            async with self._clock.timeout(ADOPTION_SECONDS):
                stored = {
                    series
                    for series, each in await self._listed_files(context, root, old)
                    if await self._is_stored(context, each)
                }
                wanted = [
                    expected for series, expected in await self._listed_files(context, root, new) if series in stored
                ]
                return all(await asyncio.gather(*(self._download(context, expected) for expected in wanted)))
        except (TimeoutError, SnapproxyError):
            return False

    async def _listed_files(self, context: RequestContext, root: str, digest: str) -> list[tuple[str, ExpectedFile]]:
        """Return every file that a root lists, by its series."""
        entries = await self._tables.entries(context.family, digest, root)
        classify = context.family.classify
        return [(classify(name).series or name, expected) for name, expected in entries if name == expected.path]

    async def _download(self, context: RequestContext, expected: ExpectedFile) -> bool:
        if await self._is_stored(context, expected):
            return True
        flight, _ = self._downloads.join(fetch_expected_now(context.archive, expected, context.family), context, None)
        outcome = await flight.wait_outcome(context, float("inf"))
        return not isinstance(outcome, Refusal) and not (isinstance(outcome, Stored) and outcome.is_in_memory)

    async def _is_stored(self, context: RequestContext, expected: ExpectedFile) -> bool:
        digest = self._names.sha256_of(context.archive.name, expected)
        blob = await self._blobs.open(digest) if digest else None
        if blob is not None:
            blob.close()
        return blob is not None
