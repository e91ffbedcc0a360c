"""Mirror slices of an archive: fetch every file of each newly settled snapshot."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rich.filesize import decimal

from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, Instant, Match, Refusal, TimeSpec
from snapproxy.core.time_spec import format_instant
from snapproxy.prefetch.fetch_files import FileFetcher, FileOutcome, PrefetchedFile, missing_files
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.slice import SliceReader

log = logging.getLogger(__name__)

MOST_SNAPSHOTS = 100
"""Maximum number of snapshots that one update fetches, oldest first; the next update fetches the others."""


class MirrorStore(Protocol):
    """The part of `snapproxy_storage.Catalog` that remembers the last mirrored snapshot. The facts never expire."""

    def fact(self, key: str, now: int) -> Any | None: ...

    async def put_fact(self, key: str, value: Any) -> None: ...


MOST_LOGGED = 10
"""Maximum number of missing files that are logged for one snapshot."""

SettledSince = Callable[[Archive, Instant | None], Awaitable[Sequence[Instant] | Refusal]]
"""Return the instants of the settled snapshots of an archive after an instant, oldest first; None: the newest one."""


@dataclass(frozen=True, slots=True)
class MirrorTarget:
    """A slice to mirror: an archive and its selections."""

    archive: Archive
    selections: tuple[Selection, ...]

    @property
    def key(self) -> str:
        """The key of the fact with the last mirrored snapshot. Another selection has another key."""
        text = repr([(each.suite, each.components, each.architectures) for each in self.selections])
        return f"mirror/{self.archive.name}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Mirror:
    """Mirrors one slice. Files that the store has, in any snapshot, are not downloaded again."""

    def __init__(
        self,
        target: MirrorTarget,
        reader: SliceReader,
        fetcher: FileFetcher,
        store: MirrorStore,
        settled_since: SettledSince,
    ) -> None:
        self._target = target
        self._reader = reader
        self._fetcher = fetcher
        self._store = store
        self._settled_since = settled_since

    async def update(self) -> str | Refusal:
        """Fetch each settled snapshot since the last complete one, and return a summary.

        The first update fetches the newest settled snapshot. A snapshot with a missing file is not complete: it is
        fetched again by the next update. Raises ConfigurationError for a selection that the archive does not have.
        """
        last = self._last()
        instants = await self._settled_since(self._target.archive, last)
        if isinstance(instants, Refusal):
            return instants
        lines = []
        for instant in instants[:MOST_SNAPSHOTS]:
            done = await self._fetch(instant)
            if isinstance(done, Refusal):
                return done
            await self._store.put_fact(self._target.key, instant)
            lines.append(done)
        return "; ".join(lines) or "no new snapshot"

    def _last(self) -> Instant | None:
        fact = self._store.fact(self._target.key, 0)
        return fact if isinstance(fact, int) else None

    async def _fetch(self, instant: Instant) -> str | Refusal:
        when = TimeSpec(format_instant(instant), instant, Match.AT)
        files: dict[WantedFile, FileOutcome] = {}
        for selection in self._target.selections:
            found = await self._reader.read(when, selection)
            if isinstance(found, Refusal):
                return found
            files |= await self._fetcher.fetch([*found.indexes, *found.packages])
        missing = missing_files(files)
        for file, refusal in list(missing.items())[:MOST_LOGGED]:
            log.warning("%s at %s: %s (%s)", file.path, when.text, refusal.reason, refusal.why)
        if missing:
            return Refusal(
                424,
                "Some files of the snapshot could not be fetched",
                f"{len(missing)} of {len(files)} files of {self._target.archive.name} at {when.text} are missing.",
            )
        fetched = [each for each in files.values() if isinstance(each, PrefetchedFile)]
        new = [each for each in fetched if each.cache != "HIT"]
        return f"{when.text}: {len(fetched)} files, {len(new)} of them new ({decimal(sum(each.size for each in new))})"
