from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.page_site import MadeUpSite


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store of the made-up service, which no test changes."""
    folder = tmp_path_factory.mktemp("pages")

    async def fill() -> None:
        async with MadeUpSite(folder):
            pass

    asyncio.run(fill())
    return folder


@pytest.fixture
async def made_up(filled: Path) -> AsyncIterator[MadeUpSite]:
    async with MadeUpSite(filled) as site:
        yield site
