"""Answer requests that name a capture from that capture alone, in offline mode."""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.capture.captures import Captures
from snapproxy.capture.replay import Replay
from snapproxy.capture.stored_entry import StoredBytes, stored_bytes
from snapproxy.core.exchange import Answerer, Conditions, FileTarget, Outcome, PassTarget, ServiceTarget, TunnelTarget
from snapproxy.core.model import Family, Refusal
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import SnapproxyError
from snapproxy_storage import Blobs

MOST_REPLAYS = 16
"""Maximum number of captures that are kept in memory; the others are read again."""


class OfflineCaptures:
    """Answers requests that name a capture from its record, and forwards others (`core.exchange.Answerer`).

    It records nothing.
    """

    def __init__(self, answerer: Answerer, captures: Captures, *, families: Mapping[str, Family], blobs: Blobs) -> None:
        self._answerer = answerer
        self._captures = captures
        self._families = families
        self._blobs = blobs
        self._replays: dict[str, tuple[Record, Replay]] = {}

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        """Answer a request."""
        if not target.capture:
            return await self._answerer.answer(target, conditions)
        try:
            replay = await self._replay(target.capture)
        except SnapproxyError as error:
            return Refusal(424, f"Offline: {error.reason[:1].lower()}{error.reason[1:]}", error.why, error.hint)
        return await replay.answer(target, conditions)

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> None:
        """Do nothing: only stored bytes are served."""

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Refuse the request: nothing is sent upstream."""
        return await self._answerer.passing(target)

    async def close(self) -> None:
        """Close the captures that were opened for reading."""
        self._captures.close_writers()

    async def _replay(self, name: str) -> Replay:
        """Return the current replay of a capture; other processes may still record into it."""
        record = await self._captures.record(name)
        known = self._replays.get(name)
        if known is None or known[0] != record:
            while len(self._replays) >= MOST_REPLAYS:
                self._replays.pop(next(iter(self._replays)))
            known = self._replays[name] = (
                record,
                Replay(record, self._families, self._stored, what=f"The capture {name}"),
            )
        return known[1]

    async def _stored(self, entry: RecordEntry) -> StoredBytes | Refusal:
        return await stored_bytes(self._blobs, entry)
