"""A body whose end is not shown before something was done about the whole of it: noted in a capture, held against a lock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from snapproxy.core.exchange import Outcome, ResponseBody, Served

_LOOKS = 2
"""How often a file is waited for: its last byte can be read a moment before the store has it, if another process brings it."""


class DeferredBody:
    """A file on its way (`core.exchange.Body`).

    `finish` is awaited once everything has arrived and before that is told; what it raises, the reader meets. `leave` is called
    instead when the reader goes before the end.
    """

    def __init__(self, body: ResponseBody, finish: Callable[[], Awaitable[None]], leave: Callable[[], None]) -> None:
        self._body = body
        self._finish = finish
        self._leave = leave
        self._is_over = False

    @property
    def size(self) -> int | None:
        return self._body.size

    def fileno(self) -> int | None:
        return self._body.fileno()

    async def wait(self, offset: int) -> int:
        ready = await self._body.wait(offset)
        if ready == self._body.size and not self._is_over:
            await self._finish()
            self._is_over = True
        return ready

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            end = min(stop, await self.wait(start))
            async for piece in self._body.chunks(start, end):
                start += len(piece)
                yield piece

    def close(self) -> None:
        self._body.close()
        if not self._is_over:
            self._is_over = True
            self._leave()


async def wait_until_stored(ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Return an answer whose bytes are all here: what still arrives is waited for, and asked for again.

    One without a digest after all is of a file that the full disk did not take.
    """
    outcome = await ask()
    for _ in range(_LOOKS):
        if not isinstance(outcome, Served) or outcome.digest:
            break
        try:
            await _read_whole(outcome.body)
        finally:
            outcome.body.close()
        outcome = await ask()
    return outcome


async def _read_whole(body: ResponseBody) -> None:
    offset = 0
    while body.size is None or offset < body.size:
        offset = await body.wait(offset)
