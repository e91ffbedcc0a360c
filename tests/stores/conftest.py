"""Stores in a temporary folder, other processes that share them, full disks, and the watchdog over the event loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

pytest.register_assert_rewrite(
    *(
        f"tests.stores.{name}"
        for name in ("contracts", "drafts_contract", "eviction_contract", "space_contract", "audit_contract")
    )
)

# pytest must rewrite the contracts' asserts before anything imports them
from snapproxy_storage import Store, open_store  # noqa: E402

PEER = Path(__file__).with_name("peer.py")
ROOT = PEER.parents[2]
PYTHON_PATH = os.pathsep.join(map(str, (ROOT, ROOT / "storage")))
"""The path of this checkout, for other processes."""


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
async def store(state_dir: Path, cache_dir: Path) -> AsyncIterator[Store]:
    async with open_store(state_dir, cache_dir) as opened:
        yield opened


@pytest.fixture
async def limited(state_dir: Path, cache_dir: Path) -> AsyncIterator[Store]:
    """Return a store with a quota of 4 MiB."""
    async with open_store(state_dir, cache_dir, quota=4 << 20) as opened:
        yield opened


@pytest.fixture
async def floored(state_dir: Path, cache_dir: Path) -> AsyncIterator[Store]:
    """Return a store that must leave an exbibyte free."""
    async with open_store(state_dir, cache_dir, free_space=1 << 60) as opened:
        yield opened


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    """Return a temporary folder that other users can enter: makes its parent folders accessible."""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    return tmp_path


class Peer:
    """Another process that uses the same store. `do` sends a line; `hear` returns the next line of its output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def do(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def hear(self, seconds: float = 20) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@pytest.fixture
async def peer(state_dir: Path, cache_dir: Path) -> AsyncIterator[Callable[..., Awaitable[Peer]]]:
    """Start another process on the same store, optionally with a quota. See peer.py for its commands."""
    started: list[Peer] = []

    async def start(*arguments: str) -> Peer:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PEER),
            str(state_dir),
            str(cache_dir),
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": PYTHON_PATH},
        )
        other = Peer(process)
        started.append(other)
        assert await other.hear() == "ready"
        return other

    yield start
    for other in started:
        if other.process.returncode is None:
            await other.kill()


@pytest.fixture
def watchdog() -> Iterator[BlockBuster]:
    """Fail a test whose event loop waits for the disk, except in calls that design.md allows inline."""
    guard = BlockBuster("snapproxy_storage")
    guard.activate()
    for name in ("os.stat", "os.rename", "os.unlink", "os.read", "os.write"):
        if name in guard.functions:
            # Beginning and following a draft make a few quick calls on names, none of which waits for the disk.
            guard.functions[name].can_block_in("snapproxy_storage/drafts.py", ("begin", "follow"))
    # The file of the counters of a process: created once.
    guard.functions["os.rename"].can_block_in("snapproxy_storage/counters.py", ("_create",))
    # Whether a blob exists: one quick call on a name.
    guard.functions["os.stat"].can_block_in("snapproxy_storage/blobs.py", ("open", "size"))
    for name in [name for name in guard.functions if name.startswith("sqlite3.")]:
        guard.functions[name].can_block_in("snapproxy_storage/catalog.py", ("_read",))
    yield guard
    guard.deactivate()


@pytest.fixture
def no_inline_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that calls fsync in the event loop."""
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def guarded(fd: int, real: Callable[[int], None] = real) -> None:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                real(fd)
            else:
                raise AssertionError("fsync on the event loop")

        monkeypatch.setattr(os, name, guarded)
