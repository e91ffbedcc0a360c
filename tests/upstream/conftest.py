"""A misbehaving server, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.rude_server import RudeServer
from tests.fakes.upstream_bench import Bench


@pytest.fixture
async def server() -> AsyncIterator[RudeServer]:
    async with RudeServer() as server:
        yield server


@pytest.fixture
def bench(server: RudeServer) -> Bench:
    return Bench(server)
