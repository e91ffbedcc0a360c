"""Fixtures that several journeys share. All of them are lazy: a journey pays only for the fixtures that it requests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.arch import ArchWorld
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.proxy import Snapproxy
from tests.fakes.trixie_system import private_folder, trixie_system
from tests.fakes.world import RootWorld


@pytest.fixture(scope="module")
def arch_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchWorld]:
    world = ArchWorld(tmp_path_factory.mktemp("arch"))
    yield world
    world.close()


@pytest.fixture
def arch(arch_world: ArchWorld) -> ArchWorld:
    """The whole small Arch Linux, with no request counted yet."""
    arch_world.service.removed.clear()
    arch_world.service.thinned.clear()
    arch_world.log.reset_counts()
    return arch_world


@pytest.fixture
def arch_proxy(arch: ArchWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    """A running snapproxy in front of the small Arch Linux, with an empty store."""
    with Snapproxy(arch.configuration(tmp_path / "snapproxy")) as process:
        yield process


@pytest.fixture(scope="session")
def shared_root_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RootWorld]:
    world = RootWorld(tmp_path_factory.mktemp("root-world"))
    yield world
    world.close()
    assert not world.errors()


@pytest.fixture
def root_world(shared_root_world: RootWorld) -> RootWorld:
    """The packages of a minimal root, without faults and with no request counted yet."""
    shared_root_world.reset()
    assert len(shared_root_world.changed()) > 3
    return shared_root_world


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder for build results; they take hundreds of megabytes and are deleted afterwards."""
    folder = tmp_path / "built"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["pacman 6", pytest.param("pacman 7", marks=pytest.mark.long)])
def make_pacman(
    request: pytest.FixtureRequest, arch: ArchWorld, tmp_path: Path
) -> Iterator[Callable[[str], PacmanRoot]]:
    """Make private pacman roots by name, of the machine's own pacman or of the one in trixie."""
    roots: list[PacmanRoot] = []
    with ExitStack() as stack:
        system, folder = None, tmp_path
        if request.param == "pacman 7":
            system = trixie_system("pacman7", "pacman-package-manager", "gnupg")
            folder = stack.enter_context(private_folder(system, request.node.originalname))

        def make(name: str) -> PacmanRoot:
            roots.append(PacmanRoot(folder / name, arch.key, chroot=system))
            return roots[-1]

        yield make
        for root in roots:
            root.close()
