"""A body whose last byte is withheld until its whole content is recorded in a capture or compared with a lock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from snapproxy.core.exchange import Outcome, ResponseBody, Served

_ATTEMPTS = 2
"""Maximum number of downloads to wait for: one may fail, or store another file than the one that is requested next."""


class DeferredBody:
    """The body of a file that is still being downloaded (`core.exchange.ResponseBody`).

    `finish` is awaited once the last byte has arrived and before it is passed on; its errors are raised to the reader.
    `leave` is called instead when the reader closes the body before the end.
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
    """Return an answer whose bytes are stored: wait for a running download, then request the answer again.

    The answer has no digest if the disk is full and the file is kept in memory only.
    """
    outcome = await ask()
    for _ in range(_ATTEMPTS):
        if not isinstance(outcome, Served) or outcome.digest:
            break
        try:
            await wait_for_end(outcome.body)
        finally:
            outcome.body.close()
        outcome = await ask()
    return outcome


async def wait_for_end(body: ResponseBody) -> None:
    """Wait until a body has arrived and has ended.

    Its size is known in advance, and all bytes of another process's download can be read some time before the file is
    stored; at its end `wait` returns only after that.
    """
    offset = 0
    while body.size is None or offset < body.size:
        offset = await body.wait(offset)
    await body.wait(offset)
