"""Closures by the real pacman equal the files that pacman downloads into an empty root, at two instants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.solvers import archive_files
from snapproxy.solvers.model import Closure, ClosureRequest, SolverError, UnknownPackagesError, UnsatisfiableError
from snapproxy.solvers.pacman import PacmanSolver
from tests.fakes.arch import FIRST, FIRST_DAYS, REPO, SECOND, SECOND_DAYS, ArchPackage, ArchWorld, publish
from tests.fakes.content import Content, FixedTree
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.trixie_system import trixie_system

pytestmark = pytest.mark.journey

SIGNED = "20240602T000000Z"
"""A time at which the database has a detached signature."""

REQUEST = ClosureRequest(("tool",), components=("core", "extra"), architectures=("x86_64",))


@pytest.fixture(scope="module")
def closure_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchWorld]:
    """Packages with dependencies, providers and conflicts; only at the first instant the database has signatures."""
    folder = tmp_path_factory.mktemp("arch")
    world = ArchWorld(folder)
    key, when = world.key, "20240520T000000Z"
    library = ArchPackage("libtool++", "2:1.5-1", key, when)
    common = (
        ArchPackage("shell-a", "1-1", key, when, fields=(("provides", "shell"),)),
        ArchPackage("shell-b", "1-1", key, when, fields=(("provides", "shell"), ("conflict", "lone"))),
        ArchPackage("lone", "1-1", key, when),
        ArchPackage("broken", "1-1", key, when, fields=(("depend", "nowhere"),)),
        library,
    )
    old = ArchPackage("tool", "1.0-1", key, when, fields=(("depend", "libtool++"),))
    new = ArchPackage("tool", "1.1-1", key, when, fields=(("depend", "libtool++"), ("depend", "shell")))
    first = publish(folder / "with-signatures", (old, *common), when)
    second = publish(folder / "without", (new, *common), "20240605T180000Z", is_signed=False)
    signature = Content(key.beside(first.get(f"{REPO}/core.db").data, at=when))
    signed = FixedTree({path: first.get(path) for path in first.paths()} | {f"{REPO}/core.db.sig": signature})
    days = {**dict.fromkeys(FIRST_DAYS, first), **dict.fromkeys(SECOND_DAYS, second)}
    world.service.days = {**days, FIRST_DAYS[0]: signed}
    yield world
    world.close()


@pytest.fixture
def proxy(closure_world: ArchWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(closure_world.configuration(tmp_path / "snapproxy")) as process:
        yield process


@pytest.fixture
def solve(proxy: Snapproxy, tmp_path: Path) -> Callable[..., Closure]:
    def solved(request: ClosureRequest, when: str, capture: str = "one") -> Closure:
        folder = tmp_path / f"solver-{when}-{capture}"
        folder.mkdir()
        return PacmanSolver().solve(request, f"{proxy.url}/~{capture}/archlinux/{when}", folder)

    return solved


def downloaded(
    world: ArchWorld, proxy: Snapproxy, folder: Path, when: str, *names: str, capture: str = ""
) -> dict[str, int]:
    """Return the packages and signatures that pacman downloads into an empty root, and their sizes."""
    root = PacmanRoot(folder, world.key)
    root.server(f"{proxy.url}{capture}/archlinux/{when}/$repo/os/$arch")
    for arguments in (("-Sy",), ("-Sw", *names)):
        outcome = root.run(*arguments)
        assert outcome.code == 0, outcome.text
    root.close()
    return {path.name: path.stat().st_size for path in (folder / "cache").iterdir()}


@pytest.mark.parametrize("when", [FIRST, SECOND])
def test_the_closure_is_what_pacman_downloads(
    closure_world: ArchWorld, proxy: Snapproxy, solve: Callable[..., Closure], tmp_path: Path, when: str
) -> None:
    closure = solve(REQUEST, when)
    real = downloaded(closure_world, proxy, tmp_path / "root", when, "tool")
    assert {Path(file.path).name for file in closure.files} == set(real)
    assert {str(Path(file.path).parent) for file in closure.files} == {REPO}
    packages = [file for file in closure.files if not file.path.endswith(".sig")]
    assert {Path(file.path).name: file.size for file in packages} == {
        name: size for name, size in real.items() if not name.endswith(".sig")
    }
    assert all(file.digest.startswith("sha256:") and file.architecture == "any" for file in packages)
    assert closure.solver.startswith("pacman ")
    assert [note for note in closure.notes if "provide shell" in note] == list(closure.notes)
    assert len(closure.notes) == (when == SECOND)


def test_a_closed_capture_of_the_closure_is_enough_for_pacman(
    closure_world: ArchWorld, proxy: Snapproxy, solve: Callable[..., Closure], tmp_path: Path
) -> None:
    """It has the databases, their signatures or the absence of them, the packages, and the signatures of those."""
    closure = solve(REQUEST, SECOND, "kept")
    for file in closure.files:
        assert archive_files.read(
            f"{proxy.url}/~kept/archlinux/{SECOND}", file.path, most=1 << 20, cancelled=threading.Event()
        )
    done = run("capture", "close", "kept", "--config", str(proxy.configuration))
    assert done.returncode == 0, done.stderr
    assert downloaded(closure_world, proxy, tmp_path / "root", SECOND, "tool", capture="/~kept")
    assert '"extra/os/x86_64/extra.db"' in run("lock", "kept", "--config", str(proxy.configuration)).stdout


def test_a_signed_database_is_not_checked_without_a_keyring(proxy: Snapproxy, solve: Callable[..., Closure]) -> None:
    """It is used nevertheless, and the capture has its signature for clients with a keyring."""
    closure = solve(REQUEST, SIGNED, "signed")
    assert closure.files == solve(REQUEST, FIRST, "unsigned").files
    assert "did not check the signatures of the databases" in closure.notes[0]
    assert f'"{REPO}/core.db.sig"' in run("lock", "signed", "--config", str(proxy.configuration)).stdout


def test_refusals_are_pacmans_own(solve: Callable[..., Closure]) -> None:
    names = ("tool", "no-such", "libtool++", "neither")
    with pytest.raises(UnknownPackagesError) as unknown:
        solve(ClosureRequest(names, components=("core",), architectures=("x86_64",)), FIRST, "a")
    assert unknown.value.names == ("no-such", "neither")
    for number, (pair, why) in enumerate({("shell-b", "lone"): "are in conflict", ("broken",): "nowhere"}.items()):
        with pytest.raises(UnsatisfiableError, match=why):
            solve(ClosureRequest(pair, components=("core",), architectures=("x86_64",)), FIRST, f"b{number}")
    with pytest.raises(SolverError, match="could not update"):
        solve(ClosureRequest(("tool",), components=("nowhere",), architectures=("x86_64",)), FIRST, "c")


@pytest.mark.long
def test_pacman_7_in_a_root_computes_the_same(solve: Callable[..., Closure]) -> None:
    system = trixie_system("pacman7", "pacman-package-manager", "gnupg")
    ours = solve(REQUEST, SECOND, "ours")
    theirs = solve(replace(REQUEST, root=str(system)), SECOND, "theirs")
    assert theirs.files == ours.files
    assert theirs.solver.startswith("pacman 7.")
    assert not list((system / "tmp").iterdir())
