"""A body whose last byte is withheld until its file is stored and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from snapproxy.capture.deferred_body import wait_until_stored
from snapproxy.core.exchange import Outcome, Served
from snapproxy.core.model import Proof, Role


class ArrivedBody:
    """The body of another process's download: every byte can be read, and the file is stored when `stored` is set."""

    size = 3

    def __init__(self, stored: asyncio.Event) -> None:
        self._stored = stored

    def fileno(self) -> int | None:
        return None

    async def wait(self, offset: int) -> int:
        if offset == self.size:
            await self._stored.wait()
        return self.size

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        yield b"abc"[start:stop]

    def close(self) -> None:
        """Nothing is open."""


async def test_the_file_of_another_process_is_awaited_until_it_is_stored() -> None:
    """However long the other process takes: its last byte can be read before the file has its name."""
    stored = asyncio.Event()
    requests = 0

    async def ask() -> Outcome:
        nonlocal requests
        requests += 1
        digest = "ab" * 32 if stored.is_set() else ""
        return Served(ArrivedBody(stored), "debian", "now", "now", Proof.GPG, "MISS", Role.PACKAGE, digest=digest)

    waiting = asyncio.ensure_future(wait_until_stored(ask))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert requests == 1
    stored.set()
    outcome = await waiting
    assert isinstance(outcome, Served)
    assert outcome.digest
    assert requests == 2
