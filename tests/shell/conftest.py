from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster, BlockBusterFunction

from tests.fakes.hamlet import Edition, Hamlet
from tests.fakes.house import PATIENT, House
from tests.fakes.present import Present
from tests.fakes.signing import SigningKey

MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture(scope="session")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edition]:
    """The states of the tiny archive; nobody changes them."""
    key = SigningKey(tmp_path_factory.mktemp("hamlet") / "gnupg")
    yield Edition(key)
    key.close()


@pytest.fixture
def hamlet(edition: Edition) -> Iterator[Hamlet]:
    with Hamlet(edition) as hamlet:
        yield hamlet


@pytest.fixture
def present(edition: Edition) -> Iterator[Present]:
    """An archive that is published anew on command."""
    present = Present(edition.key)
    yield present
    present.close()


@pytest.fixture
async def vendor(present: Present, tmp_path: Path) -> AsyncIterator[House]:
    """A snapproxy in front of an archive of which nobody else remembers anything."""
    async with House(tmp_path / "house", rows=(present.vendor,), timeouts=PATIENT) as house:
        yield house


@pytest.fixture
async def make_house(hamlet: Hamlet, tmp_path: Path, watchdog: BlockBuster) -> AsyncIterator[MakeHouse]:
    """Start a snapproxy in front of the tiny archive; those made by one test share one store, as processes do."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> House:
            options = {"folder": tmp_path / "house", "rows": (hamlet.row,)} | options
            return await stack.enter_async_context(House(**options))

        yield make


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house()


@pytest.fixture
def watchdog() -> Iterator[BlockBuster]:
    """Fail a test whose event loop waits for the disk, but for what the design lets run inline."""
    rooms = ["snapproxy", "storage"]
    guard = BlockBuster(rooms)
    for name in ("os.fsync", "os.fdatasync"):
        guard.functions[name] = BlockBusterFunction(None, name, scanned_modules=rooms)
    for name in ("os.stat", "os.rename", "os.unlink", "os.read", "os.write"):
        # Beginning and following a draft: some quick calls on names, none of which waits for a disk.
        guard.functions[name].can_block_in("storage/drafts.py", ("begin", "follow"))
    for name in [name for name in guard.functions if name.startswith("sqlite3.")]:
        guard.functions[name].can_block_in("storage/catalog.py", ("_read",))  # the catalog peek
    guard.functions["os.unlink"].can_block_in("storage/tables.py", ("_sound",))  # a damaged table, once
    for function in guard.functions.values():  # before the first request is taken
        function.can_block_in("storage/__init__.py", ("open_store",))
        function.can_block_in("snapproxy/shell/openpgp.py", ("available_keyrings",))
    guard.activate()
    yield guard
    guard.deactivate()
