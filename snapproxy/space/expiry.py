"""Captures that were never closed expire: they are removed when nothing was recorded into them for long enough."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from snapproxy.base.clock import Clock
from snapproxy.capture.captures import Captures
from snapproxy.errors import ClientError
from snapproxy.space.pins import Pin, PinKind, Pins
from snapproxy_storage import Store

log = logging.getLogger(__name__)


class CaptureExpiry:
    """Removes open captures of one store. `keep`: the seconds since their last answer for which they are kept."""

    def __init__(self, store: Store, captures: Captures, keep: float, clock: Clock) -> None:
        self._store = store
        self._captures = captures
        self._pins = Pins(store.catalog, store.blobs)
        self._keep = keep
        self._clock = clock

    async def expire(self, *, is_dry_run: bool = False) -> Sequence[str]:
        """Remove the captures that have expired, and return their names, sorted. A pinned one does not expire."""
        oldest = self._clock.now() - self._keep
        journals = await asyncio.to_thread(lambda: list(self._store.journals.stored()))
        names, expired = self._captures.ids(), []
        for journal in journals:
            if journal.modified >= oldest or self._pins.has(Pin(PinKind.CAPTURE, journal.name, "")):
                continue
            name = names.get(journal.name)
            with contextlib.suppress(ClientError):  # another process has removed it meanwhile
                if await self._expire(journal.name, name, is_dry_run=is_dry_run) and name is not None:
                    expired.append(name)
        return sorted(expired)

    async def _expire(self, key: str, name: str | None, *, is_dry_run: bool) -> bool:
        """Remove an old journal. Return whether it is that of an open capture."""
        is_open = name is not None and not (await self._captures.summary(name)).is_closed
        if is_dry_run:
            return is_open
        if name is None:  # the removal of its capture was interrupted
            await self._store.journals.remove(key)
        elif is_open:
            await self._captures.remove(name)
            log.warning("The capture %s has expired and is removed: it was never closed", name)
        else:  # closing it was interrupted
            await self._captures.close(name)
        return is_open
