"""Open the captures of the store without building the application, for verbs that contact no upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from snapproxy.base.clock import SystemClock
from snapproxy.capture.captures import Captures
from snapproxy.cli import run_as_owner
from snapproxy.cli.execution import run_async
from snapproxy.config import Config
from snapproxy.core.record import Record
from snapproxy_storage import open_store


@asynccontextmanager
async def open_captures(config: Config) -> AsyncIterator[Captures]:
    """Open the captures of the store while the block runs. Raises StorageFailure if the store cannot be opened."""
    families = {archive.name: archive.family for archive in config.archives}
    async with open_store(config.state_dir, config.cache_dir) as store:
        yield Captures(store, families=families, now=SystemClock().now)


def read_capture(config: Config, name: str) -> Record:
    """Return the record of a capture. Raises ClientError for an unknown name."""

    async def read() -> Record:
        async with open_captures(config) as captures:
            return await captures.record(name)

    with run_as_owner.acting(config.state_dir):
        return run_async(read())
