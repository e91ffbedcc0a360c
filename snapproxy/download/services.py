"""The services that every download uses: upstream, the store, the clock and the statistics."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.base.clock import Clock
from snapproxy.base.names import Names, size_of
from snapproxy.base.stats import Stats
from snapproxy.core.plan_model import Fetch
from snapproxy.download.outcome import RecentOutcomes
from snapproxy.upstream.client import UpstreamClient
from snapproxy_storage import Blobs, Drafts, Following, Slot, Slots, Writing

MEMORY_WINDOW_WHOLE = 64 << 20
"""Maximum bytes kept in memory, if the disk is full, of a file that is verified before it is sent."""

MEMORY_WINDOW_STREAM = 8 << 20
"""Maximum bytes kept in memory, if the disk is full, of a file that is sent while it arrives; slower readers fail."""

NAME_POLL_SECONDS = 0.05
NAME_POLLS = 200
"""Interval and number of polls for a pending name; the total is ten seconds."""


@dataclass(frozen=True, slots=True)
class DownloadServices:
    """The parts of the process that every download uses."""

    upstream: UpstreamClient
    recent: RecentOutcomes
    names: Names
    drafts: Drafts
    blobs: Blobs
    slots: Slots
    clock: Clock
    stats: Stats

    def begin(self, step: Fetch) -> Writing | Following:
        """Return the draft of `step` to its only writer on the machine, and a body that follows it to all others."""
        return self.drafts.begin(step.key, window=MEMORY_WINDOW_WHOLE if step.whole else MEMORY_WINDOW_STREAM)

    def mark_name_pending(self, step: Fetch) -> Slot | None:
        """Announce to all processes that the file is stored and its name is about to be written.

        Release the slot once the name is written. Return None if another process has announced it already.
        """
        return self.slots.take(f"naming/{step.key}", 1)

    async def is_stored(self, step: Fetch, archive: str) -> bool:
        """Return whether the store has the bytes by now: by their digest, or by the name in the step.

        A draft ends when its bytes are stored, and the name is written several durable writes later: a pending name
        is therefore waited for, up to ten seconds.
        """
        for _ in range(NAME_POLLS):
            if await self._has_blob(step, archive):
                return True
            if (slot := self.mark_name_pending(step)) is not None:
                slot.release()
                break
            await self.clock.sleep(NAME_POLL_SECONDS)
        return await self._has_blob(step, archive)  # the name may have been written between the two checks

    async def _has_blob(self, step: Fetch, archive: str) -> bool:
        # A name of weaker proof, written before an index listed the file, is about to be replaced and does not count.
        digest = None if step.expected is None else self.names.sha256_of(archive, step.expected)
        if digest is None and (stored := self.names.stored(step.space, step.path)) and stored.proof >= step.proof:
            digest = stored.digest
        return digest is not None and await size_of(self.blobs, digest) is not None
