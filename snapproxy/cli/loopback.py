"""Serve on the loopback interface while a block runs, for programs that this process starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from snapproxy.cli import sockets
from snapproxy.cli.application import App


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """Serve on a free port of 127.0.0.1 while the block runs, and yield the address.

    The programs that use it end with the block, so no answer is waited for.
    """
    listeners = sockets.bind([("127.0.0.1", 0)])
    with sockets.closing(listeners):
        task = asyncio.create_task(app.serve(listeners, grace_seconds=0))
        try:
            yield sockets.url(listeners[0])
        finally:
            task.cancel()
            await asyncio.wait({task})
