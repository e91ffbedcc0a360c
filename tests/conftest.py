"""Fixtures that the tests of several packages share.

All of them are lazy: a test pays only for the fixtures that it requests.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster, BlockBusterFunction

from tests.fakes.apt_root import AptRoot
from tests.fakes.hamlet import Edition, Hamlet
from tests.fakes.house import PATIENT, House
from tests.fakes.present import Present
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.rpm_world import RpmWorld
from tests.fakes.signing import SigningKey
from tests.fakes.trixie_system import apt3_root
from tests.fakes.world import GenuineWorld, World

MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Genuine xz-utils with its dependencies (five packages, under 4 MB), at two instants."""
    world = World(tmp_path_factory.mktemp("world"), "xz-utils")
    yield world
    world.close()
    assert not world.errors()


@pytest.fixture
def world(small_world: World) -> World:
    """The small world, without faults and with no request counted yet."""
    small_world.reset()
    return small_world


@pytest.fixture(scope="session")
def build_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Genuine build-essential with its dependencies (75 packages, some 90 MB), at two instants."""
    world = World(tmp_path_factory.mktemp("build-world"), "build-essential")
    yield world
    world.close()
    assert not world.errors()


@pytest.fixture(scope="session")
def genuine_world() -> Iterator[GenuineWorld]:
    """Debian's own signed roots, unchanged, from the machine's mirror."""
    world = GenuineWorld(now=int(time.time()))
    yield world
    world.close()


@pytest.fixture(scope="session")
def shared_rpm_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmWorld]:
    """An rpm repository of two packages, at two instants."""
    world = RpmWorld(tmp_path_factory.mktemp("rpm-world"))
    yield world
    world.close()
    assert not [error for server in world.servers for error in server.errors]


@pytest.fixture
def rpm_world(shared_rpm_world: RpmWorld) -> RpmWorld:
    """The rpm repository, without faults and with no request counted yet."""
    shared_rpm_world.reset()
    return shared_rpm_world


@pytest.fixture
def apt_root(tmp_path: Path) -> Callable[[str], AptRoot]:
    """Make private apt roots by name."""
    return lambda name: AptRoot(tmp_path / name)


@pytest.fixture
def snapproxy(world: World, tmp_path: Path) -> Iterator[Snapproxy]:
    """A running snapproxy in front of the small world, with an empty store."""
    with Snapproxy(configuration(tmp_path / "snapproxy", world)) as process:
        yield process


@pytest.fixture
def apt3(request: pytest.FixtureRequest) -> Iterator[AptRoot]:
    """A private root in a trixie system: apt 3."""
    with apt3_root(request.node.name) as root:
        yield root


@pytest.fixture(scope="session")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edition]:
    """The states of the tiny archive; no test changes them."""
    key = SigningKey(tmp_path_factory.mktemp("hamlet") / "gnupg")
    yield Edition(key)
    key.close()


@pytest.fixture
def hamlet(edition: Edition) -> Iterator[Hamlet]:
    with Hamlet(edition) as hamlet:
        yield hamlet


@pytest.fixture
def hamlet_settings(hamlet: Hamlet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, used by the verbs, in which the tiny archive is the upstream of Debian."""
    row = hamlet.row
    file = tmp_path / "config.toml"
    file.write_text(
        f'state_dir = "{tmp_path}/state"\ncache_dir = "{tmp_path}/cache"\n[archives.debian]\n'
        f'snapshot = ["{row.snapshot[0]}"]\nmirrors = ["{row.mirrors[0]}"]\nkeyrings = ["{row.keyrings[0]}"]\n'
        '[upstreams."127.0.0.2"]\nrequests_per_second = 500\nburst = 500\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("SNAPPROXY_CONFIG", str(file))
    return file


@pytest.fixture
def present(edition: Edition) -> Iterator[Present]:
    """An archive that a test can publish again."""
    present = Present(edition.key)
    yield present
    present.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a real file system of the given size (tmpfs syntax) and return where."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            pytest.skip(f"cannot mount a tmpfs here, needs root: {made.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
async def vendor(present: Present, tmp_path: Path) -> AsyncIterator[House]:
    """A snapproxy in front of an archive without a snapshot service."""
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
    """Fail a test whose event loop blocks on the disk, except for the calls that the design runs inline."""
    packages = ["snapproxy", "snapproxy_storage"]
    guard = BlockBuster(packages)
    for name in ("os.fsync", "os.fdatasync"):
        guard.functions[name] = BlockBusterFunction(None, name, scanned_modules=packages)
    for name in ("os.stat", "os.rename", "os.unlink", "os.read", "os.write"):
        # Starting and following a draft: some quick calls on names, none of which waits for a disk.
        guard.functions[name].can_block_in("snapproxy_storage/drafts.py", ("begin", "follow"))
    # Whether a blob exists: one quick call on a name.
    guard.functions["os.stat"].can_block_in("snapproxy_storage/blobs.py", ("open", "size"))
    guard.functions["os.write"].can_block_in("snapproxy_storage/journals.py", ("add",))  # a line, into the page cache
    for name in [name for name in guard.functions if name.startswith("sqlite3.")]:
        guard.functions[name].can_block_in("snapproxy_storage/catalog.py", ("_read",))  # a read of the catalog
    for name in ("os.rename", "os.unlink"):  # the file of the counters of a process, created once
        guard.functions[name].can_block_in("snapproxy_storage/counters.py", ("_create",))
    guard.functions["os.unlink"].can_block_in("snapproxy_storage/tables.py", ("_block",))  # a damaged table, once
    for function in guard.functions.values():  # before the first request is taken
        function.can_block_in("snapproxy_storage/__init__.py", ("open_store",))
        function.can_block_in("snapproxy/trust/openpgp.py", ("available_keyrings",))
    guard.activate()
    yield guard
    guard.deactivate()
