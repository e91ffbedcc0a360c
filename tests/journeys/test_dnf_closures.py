"""Closures by the real dnf equal the packages that `dnf install --downloadonly` downloads, at two instants."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.solvers import archive_files
from snapproxy.solvers.dnf import DnfSolver
from snapproxy.solvers.model import Closure, ClosureRequest, SolverError, UnknownPackagesError, UnsatisfiableError
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.rpm_root import RELEASE, DnfRoot, ZypperRoot
from tests.fakes.rpm_world import ARCHIVE, REPOSITORY, RpmWorld, file_name
from tests.fakes.trixie_system import trixie_system
from tests.fakes.world import FIRST, SECOND

pytestmark = pytest.mark.journey

REQUEST = ClosureRequest(
    ("tool",), suites=(RELEASE,), components=("updates/$releasever/Everything/$basearch",), architectures=("x86_64",)
)


VERSIONS = {
    FIRST: {"tool": "1.0-1", "library": "7-1", "extra": "1-1", "lone": "1-1", "broken": "1-1"},
    SECOND: {"tool": "1.1-1", "library": "7-2", "extra": "1-1"},
}
FIELDS = {
    "tool": "Requires: library\nRecommends: extra\n",
    "lone": "Conflicts: library\n",
    "broken": "Requires: nowhere\n",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmWorld]:
    """Packages with dependencies, weak ones and conflicts, at two instants."""
    world = RpmWorld(tmp_path_factory.mktemp("rpm"), versions=VERSIONS, fields=FIELDS)
    yield world
    world.close()


@pytest.fixture
def proxy(world: RpmWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(world.configuration(tmp_path / "snapproxy")) as process:
        yield process


@pytest.fixture
def solve(proxy: Snapproxy, tmp_path: Path) -> Callable[..., Closure]:
    def solved(request: ClosureRequest, when: str, capture: str = "one") -> Closure:
        folder = tmp_path / f"solver-{when}-{capture}"
        folder.mkdir()
        return DnfSolver().solve(request, f"{proxy.url}/~{capture}/{ARCHIVE}/{when}", folder)

    return solved


def downloaded(proxy: Snapproxy, folder: Path, when: str, *arguments: str) -> dict[str, bytes]:
    """Return the packages that dnf downloads into an empty root."""
    root = DnfRoot(folder)
    address = f"{proxy.url}/{ARCHIVE}/{when}/{REPOSITORY}"
    root.repository(f"[t]\nname=t\nbaseurl={address}\nenabled=1\ngpgcheck=0\n")
    done = root.dnf("--best", *arguments, "install", "--downloadonly", "tool")
    assert done.code == 0, done.err
    return root.fetched()


@pytest.mark.parametrize("when", [FIRST, SECOND])
@pytest.mark.parametrize("recommends", [True, False])
def test_the_closure_is_what_dnf_downloads(
    proxy: Snapproxy, solve: Callable[..., Closure], tmp_path: Path, when: str, recommends: bool
) -> None:
    closure = solve(replace(REQUEST, recommends=recommends), when)
    real = downloaded(proxy, tmp_path / "root", when, f"--setopt=install_weak_deps={recommends}")
    assert {file.path.rpartition("/")[2] for file in closure.files} == set(real)
    assert len(real) == 2 + recommends
    for file in closure.files:
        data = real[file.path.rpartition("/")[2]]
        algorithm, _, digest = file.digest.partition(":")
        assert (file.size, digest) == (len(data), hashlib.new(algorithm, data).hexdigest())
        assert file.path == f"{REPOSITORY}/Packages/{file.name[0]}/{file_name(file.name, file.version)}"
    assert closure.solver.startswith("dnf ")


@pytest.mark.parametrize("client", ["dnf", "zypper"])
def test_a_closed_capture_of_the_closure_is_enough(
    world: RpmWorld, proxy: Snapproxy, solve: Callable[..., Closure], tmp_path: Path, client: str
) -> None:
    """It has the root, its signature and key, the metadata and the packages, for clients that check signatures."""
    closure = solve(REQUEST, FIRST, "kept")
    for file in closure.files:
        assert archive_files.read(
            f"{proxy.url}/~kept/{ARCHIVE}/{FIRST}", file.path, most=1 << 20, cancelled=threading.Event()
        )
    done = run("capture", "close", "kept", "--config", str(proxy.configuration))
    assert done.returncode == 0, done.stderr
    address = f"{proxy.url}/~kept/{ARCHIVE}/{FIRST}/{REPOSITORY}"
    key = f"gpgkey=file://{world.public_key}\n" if client == "dnf" else ""
    text = f"[t]\nname=t\nbaseurl={address}\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\n{key}"
    if client == "dnf":
        dnf = DnfRoot(tmp_path / "root")
        dnf.repository(text)
        outcome, found = dnf.dnf("install", "--downloadonly", "tool"), dnf.fetched
    else:
        zypper = ZypperRoot(tmp_path / "root")
        zypper.repository(text)
        outcome, found = zypper.zypper("install", "--download-only", "--no-confirm", "tool"), zypper.fetched
    assert outcome.code == 0, outcome.out + outcome.err
    assert set(found()) == {file.path.rpartition("/")[2] for file in closure.files}


def test_refusals_are_dnfs_own(solve: Callable[..., Closure]) -> None:
    with pytest.raises(UnknownPackagesError) as unknown:
        solve(replace(REQUEST, packages=("tool", "no-such", "@group", "library")), FIRST, "a")
    assert unknown.value.names == ("no-such", "@group")
    with pytest.raises(UnsatisfiableError, match="nothing provides nowhere"):
        solve(replace(REQUEST, packages=("broken",)), FIRST, "b")
    with pytest.raises(UnsatisfiableError, match="conflicts"):
        solve(replace(REQUEST, packages=("tool", "lone")), FIRST, "c")
    with pytest.raises(SolverError, match="could not load its repositories"):
        solve(replace(REQUEST, components=("elsewhere",)), FIRST, "d")


@pytest.mark.long
def test_dnf_of_a_root_computes_the_same(solve: Callable[..., Closure]) -> None:
    system = trixie_system("dnf4", "dnf", "python3")
    theirs = solve(replace(REQUEST, root=str(system)), SECOND, "theirs")
    assert theirs.files == solve(REQUEST, SECOND, "ours").files
    assert not list((system / "tmp").iterdir())
