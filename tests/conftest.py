"""Fixtures that several rooms' tests share. All of them are lazy: a unit test that asks for none pays for none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.apt3_system import apt3_root
from tests.fakes.apt_root import AptRoot
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.rpm_world import RpmWorld
from tests.fakes.world import GenuineWorld, World


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Genuine xz-utils with what it needs (five packages, under 4 MB), at two instants."""
    world = World(tmp_path_factory.mktemp("world"), "xz-utils")
    yield world
    world.close()
    assert not world.errors()


@pytest.fixture
def world(small_world: World) -> World:
    """The small world, with no fault and no request counted yet."""
    small_world.reset()
    return small_world


@pytest.fixture(scope="session")
def build_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Genuine build-essential with what it needs (75 packages, some 90 MB), at two instants."""
    world = World(tmp_path_factory.mktemp("build-world"), "build-essential")
    yield world
    world.close()
    assert not world.errors()


@pytest.fixture(scope="session")
def genuine_world() -> Iterator[GenuineWorld]:
    """Debian's own signed roots, passed through from the machine's mirror."""
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
    """The rpm repository, with no fault and no request counted yet."""
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
