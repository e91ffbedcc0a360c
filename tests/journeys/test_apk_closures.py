"""Closures by the real apk equal the packages that apk downloads into an empty root, at two instants.

Debian has no apk; these tests need one on PATH, as `make clients APK=DIR` does. The texts of 2.14.10 and 3.0.6 are in
tests/solvers/test_apk_texts.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.solvers import archive_files
from snapproxy.solvers.apk import ApkSolver
from snapproxy.solvers.model import Closure, ClosureRequest, SolverError, UnknownPackagesError, UnsatisfiableError
from tests.fakes import apk3_world
from tests.fakes.alpine import package
from tests.fakes.alpine_world import FOLDER, REPOSITORY, AlpineWorld
from tests.fakes.apk3_world import Apk3World
from tests.fakes.apk_root import ARCH, RealApk
from tests.fakes.proxy import Snapproxy, run

VERSION = subprocess.check_output(["apk", "--version"]) if shutil.which("apk") else b""

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(shutil.which("apk") is None, reason="no apk on PATH; Debian has no package of it"),
    pytest.mark.skipif(os.geteuid() != 0, reason="apk sets root as the owner of files"),
]

OLD, NEW = "20240801T000000Z", "20240901T000000Z"
REQUEST = ClosureRequest(("tool",), components=(REPOSITORY,), architectures=(ARCH,))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlpineWorld]:
    """Packages with dependencies and conflicts, at two instants."""
    world = AlpineWorld(tmp_path_factory.mktemp("alpine"))
    common = [
        package("lib++", "1.2_rc1-r0", world.key),
        package("lone", "1-r0", world.key, depends="!lib++"),
        package("broken", "1-r0", world.key, depends="nowhere"),
    ]
    old = [*common, package("tool", "1-r0", world.key, depends="lib++")]
    new = [
        *common,
        package("tool", "2-r0", world.key, depends="lib++ data>1"),
        package("data", "2-r0", world.key),
    ]
    world.timeline.publish("20240720T000000Z", world.tree(old, OLD))
    world.timeline.publish("20240820T000000Z", world.tree(new, NEW))
    yield world
    world.close()


@pytest.fixture
def proxy(world: AlpineWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(world.configuration(tmp_path / "snapproxy")) as process:
        yield process


@pytest.fixture
def solve(world: AlpineWorld, proxy: Snapproxy, tmp_path: Path) -> Callable[..., Closure]:
    def solved(request: ClosureRequest, when: str, capture: str = "one") -> Closure:
        folder = tmp_path / f"solver-{when}-{capture}"
        folder.mkdir()
        return ApkSolver().solve(request, f"{proxy.url}/~{capture}/alpine/{when}", folder)

    return solved


def downloaded(root: Path, keys: Path, line: str, *names: str) -> dict[str, int]:
    """Return the packages that apk downloads into an empty root, and their sizes."""
    client = RealApk(root, keys)
    client.repositories(line)
    client.update()
    client.add(*names)
    cached = {path.name: path.stat().st_size for path in (root / "etc/apk/cache").glob("*.apk")}
    return {f"{name.rsplit('.', 2)[0]}.apk": size for name, size in cached.items()}


@pytest.mark.parametrize("when", [OLD, NEW])
def test_the_closure_is_what_apk_downloads(
    world: AlpineWorld, proxy: Snapproxy, solve: Callable[..., Closure], tmp_path: Path, when: str
) -> None:
    closure = solve(replace(REQUEST, keyrings=(str(world.keys),)), when)
    real = downloaded(tmp_path / "root", world.keys, f"{proxy.url}/alpine/{when}/{REPOSITORY}", "tool")
    assert {file.path.rpartition("/")[2]: file.size for file in closure.files} == real
    assert {file.path.rpartition("/")[0] for file in closure.files} == {FOLDER}
    assert len(real) == (2 if when == OLD else 3)
    assert closure.solver.startswith("apk-tools ")
    assert closure.notes == ()


def test_a_closed_capture_of_the_closure_is_enough_for_apk(
    world: AlpineWorld, proxy: Snapproxy, solve: Callable[..., Closure], tmp_path: Path
) -> None:
    closure = solve(REQUEST, OLD, "kept")
    assert "did not check signatures" in closure.notes[0]
    for file in closure.files:
        assert archive_files.read(
            f"{proxy.url}/~kept/alpine/{OLD}", file.path, most=1 << 20, cancelled=threading.Event()
        )
    done = run("capture", "close", "kept", "--config", str(proxy.configuration))
    assert done.returncode == 0, done.stderr
    line = f"{proxy.url}/~kept/alpine/{OLD}/{REPOSITORY}"
    assert len(downloaded(tmp_path / "root", world.keys, line, "tool")) == len(closure.files)


def test_refusals_are_apks_own(world: AlpineWorld, solve: Callable[..., Closure]) -> None:
    with pytest.raises(UnknownPackagesError) as unknown:
        solve(replace(REQUEST, packages=("tool", "no-such", "neither")), OLD, "a")
    assert set(unknown.value.names) == {"no-such", "neither"}
    with pytest.raises(UnsatisfiableError, match="nowhere"):
        solve(replace(REQUEST, packages=("broken",)), OLD, "b")
    with pytest.raises(UnsatisfiableError, match="lone"):
        solve(replace(REQUEST, packages=("tool", "lone")), OLD, "c")
    with pytest.raises(SolverError, match="no index of apk"):
        solve(replace(REQUEST, components=("elsewhere",)), OLD, "d")


@pytest.mark.skipif(b" 3." not in VERSION, reason="indexes of version 3 need apk 3")
def test_an_index_of_version_3(tmp_path: Path) -> None:
    """The packages are in the folders of their architectures."""
    world = Apk3World(tmp_path)
    folder = tmp_path / "solver"
    folder.mkdir()
    with Snapproxy(world.file) as proxy:
        request = ClosureRequest(("hello", "data"), components=("edge/main",), architectures=(ARCH,))
        base = f"{proxy.url}/~three/past/{apk3_world.FIRST}"
        closure = ApkSolver().solve(replace(request, keyrings=(str(world.keys),)), base, folder)
        line = f"v3 {proxy.url}/past/{apk3_world.FIRST}/edge/main"
        real = downloaded(tmp_path / "root", world.keys, line, "hello", "data")
    assert {file.path.rpartition("/")[2]: file.size for file in closure.files} == real
    assert {file.path for file in closure.files} == {apk3_world.HELLO, apk3_world.DATA}
    world.close()
