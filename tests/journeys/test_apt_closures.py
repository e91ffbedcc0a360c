"""Closures by apt-get equal the downloads of the same apt-get, file by file."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.solvers.apt import AptSolver
from snapproxy.solvers.apt_policy import AptAlgorithm, algorithm_of
from snapproxy.solvers.model import Closure, ClosureRequest, FurtherArchive, SolverError, UnknownPackagesError
from tests.fakes import genuine
from tests.fakes.apt_root import AptRoot, machine_apt
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Package, Timeline
from tests.fakes.forms import mirror_form
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.services import MirrorService
from tests.fakes.trixie_system import trixie_system
from tests.fakes.world import FIRST, SECOND, World

pytestmark = pytest.mark.journey


@pytest.fixture
def proxy(world: World, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(configuration(tmp_path / "snapproxy", world)) as process:
        yield process


@pytest.fixture
def solve(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ClosureRequest, str], Closure]:
    return lambda request, base: AptSolver().solve(request, base, tmp_path_factory.mktemp("apt"))


Solve = Callable[[ClosureRequest, str], Closure]


def request(world: World, *packages: str) -> ClosureRequest:
    return ClosureRequest(packages, suites=(world.codename,), architectures=("amd64",))


@pytest.mark.parametrize("when", [FIRST, SECOND])
def test_a_closure_is_what_apt_downloads_and_its_indexes_are_in_the_capture(
    world: World, proxy: Snapproxy, solve: Solve, when: str, apt_root: Callable[[str], AptRoot]
) -> None:
    root = mirror_form(apt_root("real"), world, proxy, when)
    assert root.update().code == 0
    assert root.download("xz-utils").code == 0
    asked = replace(request(world, "xz-utils"), recommends=False, keyrings=(str(world.key.keyring),))
    closure = solve(asked, f"{proxy.url}/~closure/debian/{when}")
    archive = (world.first if when == FIRST else world.second).debian
    packages = {each.path: each for each in archive.packages if not each.is_source}
    assert {archive.files[file.path].data for file in closure.files} == set(root.fetched().values())
    for file in closure.files:
        package, content = packages[file.path], archive.files[file.path]
        assert (file.name, file.version, file.architecture) == (package.name, package.version, package.architecture)
        assert (file.size, file.digest, file.archive) == (content.size, f"sha256:{content.sha256}", "")
    (note,) = closure.notes
    assert "no package apt" in note
    assert re.fullmatch(r"apt \S+, libapt-pkg\S* \S+, solver (internal|3\.0)", closure.solver)
    locked = run("lock", "closure", "--config", str(proxy.configuration))
    assert locked.returncode == 0, locked.stderr
    assert f"dists/{world.codename}/InRelease" in locked.stdout
    assert f"dists/{world.codename}/main/binary-amd64/Packages.xz" in locked.stdout


def test_installed_packages_are_left_out_and_other_archives_add_theirs(
    world: World, proxy: Snapproxy, solve: Solve
) -> None:
    state = world.second
    whole = solve(replace(request(world, "xz-utils"), recommends=False), f"{proxy.url}/debian/{SECOND}")
    packages = {each.path: each for each in state.debian.packages if not each.is_source}
    first, *others = (packages[file.path] for file in whole.files)
    status = "".join(f"{each.stanza}\nStatus: install ok installed\n\n" for each in others)
    asked = replace(request(world, "xz-utils"), packages=(first.name,), status=status.encode())
    rest = solve(asked, f"{proxy.url}/debian/{SECOND}")
    assert [file.path for file in rest.files] == [first.path]
    assert "no keyring was given" in rest.notes[-1]
    (fixed,) = state.security.packages
    security = FurtherArchive(
        "debian-security", f"{proxy.url}/debian-security/{SECOND}", (f"{world.codename}-security",)
    )
    empty = replace(
        request(world, fixed.name), suites=(f"{world.codename}-updates",), further=(security,), recommends=False
    )
    both = solve(replace(empty, status=status.encode() if fixed is first else b""), f"{proxy.url}/debian/{SECOND}")
    assert {(file.archive, file.path) for file in both.files if file.name == fixed.name} == {
        ("debian-security", fixed.path)
    }


def test_apts_reasons_reach_the_user(world: World, proxy: Snapproxy, solve: Solve) -> None:
    base = f"{proxy.url}/debian/{FIRST}"
    asked = request(world, "xz-utlis", "liblzma5", "no.such.name", "nothing*")
    with pytest.raises(UnknownPackagesError) as unknown:
        solve(replace(asked, build_dependencies_of=("hello", "helo", "0ad")), base)
    assert unknown.value.names == ("xz-utlis", "no.such.name", "nothing*", "helo", "0ad")
    assert unknown.value.similar["xz-utlis"] == "xz-utils"
    with pytest.raises(UnknownPackagesError):
        solve(request(world, "?name(^nothing$)"), base)
    with pytest.raises(SolverError, match=r"unmet dependencies(?s:.*)build-essential"):
        solve(replace(request(world), build_dependencies_of=("hello",)), base)
    with pytest.raises(SolverError, match=r"could not update(?s:.*)nosuch"):
        solve(replace(request(world, "xz-utils"), suites=(world.codename, "nosuch")), base)
    with pytest.raises(SolverError, match=r"could not update(?s:.*)NO_PUBKEY"):
        solve(replace(request(world, "xz-utils"), keyrings=(str(genuine.KEYRING),)), base)
    with pytest.raises(SolverError, match="keyring cannot be read"):
        solve(replace(request(world, "xz-utils"), keyrings=("/nonexistent.gpg",)), base)


def test_a_cancelled_solver_ends(world: World, tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(SolverError, match="was cancelled"):
        AptSolver(cancelled=cancelled).solve(request(world, "xz-utils"), "http://127.0.0.1:1/debian", tmp_path)


def backtracking(world: World, apt: str) -> Timeline:
    """Publish five packages whose only solution the solver internal does not find, and an `apt` of this version."""
    relations = {
        "p0": "Depends: p7 | p8",
        "p1": "Depends: p8 | p2, p7 | p2",
        "p2": "Conflicts: p8",
        "p4": "Depends: p6 | p1\nConflicts: p6",
        "p6": "Depends: p2 | p4",
        "p7": "Depends: p8 | p6, p2\nConflicts: p8",
        "p8": "Depends: p7 | p4\nConflicts: p2",
        "apt": "Priority: optional",
    }
    packages = tuple(
        Package(
            f"Package: {name}\nVersion: {apt if name == 'apt' else 1}\nArchitecture: all\n{relation}\n"
            f"Filename: pool/{name}.deb\nSize: 1\nSHA256: {'0' * 64}\nDescription: made up",
            {},
        )
        for name, relation in relations.items()
    )
    timeline = Timeline()
    timeline.publish(FIRST, Publisher(world.key).tree(FIRST, [SuitePlan(world.codename, packages)]))
    return timeline


def test_the_solver_is_that_of_the_release(world: World, solve: Solve) -> None:
    """apt 3.0 of a root tries the solver 3.0 after internal; no apt before it has that solver."""
    asked = request(world, "p0", "p1")
    system = str(trixie_system("apt3", "apt"))
    archives = {version: backtracking(world, version) for version in ("2.6.1", "3.0.3", "3.3.5")}
    with ArchiveServer(MirrorService(archives)) as server:
        for version, solver in (("3.0.3", "solver 3.0 after internal"), ("3.3.5", "solver 3.0")):
            closure = solve(replace(asked, root=system), f"{server.url}/{version}")
            assert [file.name for file in closure.files] == ["p0", "p1", "p2", "p6", "p7"]
            assert closure.solver.endswith(f", {solver}")
        with pytest.raises(SolverError, match=r"apt 2\.6\.1 of the release fails"):
            solve(replace(asked, root=system), f"{server.url}/2.6.1")
        accepted = replace(asked, root=system, is_any_solver_accepted=True)
        assert len(solve(accepted, f"{server.url}/2.6.1").files) == 5
        assert list(Path(system, "tmp").iterdir()) == []
        if algorithm_of(machine_apt(), is_ubuntu=False) is AptAlgorithm.INTERNAL:
            for version in ("3.0.3", "3.3.5"):
                with pytest.raises(SolverError, match=r"lacks the solver(?s:.*)--root DIR"):
                    solve(asked, f"{server.url}/{version}")


def test_a_root_without_apt_is_named(world: World, solve: Solve, tmp_path: Path) -> None:
    for folders in ((), ("tmp",)):
        for folder in folders:
            (tmp_path / folder).mkdir()
        with pytest.raises(SolverError, match="--root"):
            solve(replace(request(world, "xz-utils"), root=str(tmp_path)), "http://127.0.0.1:1/debian")
    (tmp_path / "tmp").rmdir()
    (tmp_path / "tmp").symlink_to("/tmp")
    with pytest.raises(SolverError, match="is no folder"):
        solve(replace(request(world, "xz-utils"), root=str(tmp_path)), "http://127.0.0.1:1/debian")
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
