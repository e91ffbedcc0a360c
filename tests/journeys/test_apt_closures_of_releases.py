"""Closures in roots of three releases equal those of the roots' own apt, whose solvers differ.

The roots are made from the machine's mirror, and both sides read one frozen state of it through snapproxy.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from snapproxy.solvers.apt import AptSolver
from snapproxy.solvers.apt_policy import AptAlgorithm, algorithm_of
from snapproxy.solvers.model import ClosureRequest, FurtherArchive, SolverError
from tests.fakes import genuine
from tests.fakes.apt_root import machine_apt
from tests.fakes.bootstrap import tool
from tests.fakes.chroot import chrooted
from tests.fakes.content import Package
from tests.fakes.proxy import Snapproxy
from tests.fakes.world import is_newer

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(900)]

SOLVERS = {"bookworm": "solver internal", "trixie": "solver internal", "sid": "solver 3.0"}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapproxy]:
    """A snapproxy in front of the machine's own mirror."""
    folder = tmp_path_factory.mktemp("snapproxy")
    suites = {"debian": genuine.main_suite(), "debian-security": genuine.security_suite()}
    rows = "".join(
        f'[archives.{name}]\nmirrors = ["{suite.base.rstrip("/")}"]\nkeyrings = ["{genuine.KEYRING}"]\n'
        for name, suite in suites.items()
        if suite
    )
    host = suites["debian"].base.split("/")[2]
    pace = f'[upstreams."{host}"]\nconnections = 8\nrequests_per_second = 100\nburst = 100\n'
    file = folder / "config.toml"
    file.write_text(f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n{rows}{pace}')
    with Snapproxy(file) as process:
        yield process


@dataclass(frozen=True)
class Release:
    """A root of a release, whose apt reads the archive at `base`."""

    name: str
    root: Path
    base: str

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            chrooted(self.root, ["apt-get", "-qq", "-y", *arguments]), capture_output=True, text=True, check=False,
            timeout=300, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def would_fetch(self, *arguments: str) -> dict[str, str]:
        """Return the digest by path of each file that apt-get with these arguments downloads."""
        text = self.run("--print-uris", "-o", "Acquire::ForceHash=SHA256", *arguments)
        lines = re.findall(r"^'(\S+)' \S+ \d+ SHA256:(\w+)$", text, re.MULTILINE)
        assert len(lines) == text.count("\n") > 0
        return {
            unquote(address).removeprefix(f"{unquote(self.base)}/"): f"sha256:{digest}" for address, digest in lines
        }


@pytest.fixture(scope="module", params=sorted(SOLVERS))
def release(
    request: pytest.FixtureRequest, proxy: Snapproxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    name, root = request.param, tmp_path_factory.mktemp(request.param) / "root"
    options = ["--variant=apt", f"--keyring={_KEYRING}", '--aptopt=Acquire::Check-Valid-Until "false"']
    tool("mmdebstrap", *options, name, str(root), f"{proxy.url}/debian/live")
    made = Release(name, root, f"{proxy.url}/~{name}/debian/live")
    lines = [f"{kind} [signed-by={_KEYRING}] {made.base} {name} main\n" for kind in ("deb", "deb-src")]
    (root / "etc/apt/sources.list").write_text("".join(lines))
    made.run("update")
    (root / "tmp/empty").touch()
    yield made
    shutil.rmtree(root.parent)


def asked(release: Release) -> ClosureRequest:
    return ClosureRequest(
        (), suites=(release.name,), architectures=("amd64",), root=str(release.root), keyrings=(str(genuine.KEYRING),)
    )


SETS = {
    "build-essential": (("install", "build-essential"), {"packages": ("build-essential",)}),
    "desktop": (
        ("install", "kde-plasma-desktop", "-oAPT::Install-Recommends=true"),
        {"packages": ("kde-plasma-desktop",), "recommends": True},
    ),
    "build dependencies": (("build-dep", "apt", "curl"), {"build_dependencies_of": ("apt", "curl")}),
    "patterns": (
        ("install", "?essential", "?priority(required)", "-oAPT::Install-Recommends=false"),
        {"packages": ("?essential", "?priority(required)"), "recommends": False},
    ),
}
_EMPTY = ("-oDir::State::status=/tmp/empty", "-oDir::State::extended_states=/tmp/empty")


@pytest.mark.parametrize("label", SETS)
def test_a_set_is_that_of_the_releases_own_apt(release: Release, label: str, tmp_path: Path) -> None:
    arguments, wanted = SETS[label]
    closure = AptSolver().solve(replace(asked(release), **wanted), release.base, tmp_path)
    assert {file.path: file.digest for file in closure.files} == release.would_fetch(*_EMPTY, *arguments)
    assert closure.solver.endswith(SOLVERS[release.name])
    assert closure.notes == ()


def test_what_is_installed_is_not_downloaded_again(release: Release, tmp_path: Path) -> None:
    """The packages that apt really downloads have the digests of the closure."""
    status = (release.root / "var/lib/dpkg/status").read_bytes()
    closure = AptSolver().solve(replace(asked(release), packages=("curl",), status=status), release.base, tmp_path)
    release.run("install", "--download-only", "curl")
    packages = list((release.root / "var/cache/apt/archives").glob("*.deb"))
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in packages}
    assert {f"sha256:{digest}" for digest in digests} == {file.digest for file in closure.files}
    assert len(digests) > 3
    release.run("clean")  # apt does not list what it has


def test_the_machines_own_apt_computes_the_same_or_refuses(release: Release, tmp_path: Path) -> None:
    here = replace(asked(release), root="", packages=("kde-plasma-desktop",))
    if release.name == "sid" and algorithm_of(machine_apt(), is_ubuntu=False) is AptAlgorithm.INTERNAL:
        with pytest.raises(SolverError, match="lacks the solver") as refused:
            AptSolver().solve(here, release.base, tmp_path)
        assert "--root DIR" in refused.value.hint
        return
    closure = AptSolver().solve(here, release.base, tmp_path)
    assert {file.path: file.digest for file in closure.files} == release.would_fetch(
        *_EMPTY, "install", "kde-plasma-desktop"
    )


def test_the_files_of_security_are_in_their_archive(proxy: Snapproxy, tmp_path: Path) -> None:
    suite, security = genuine.main_suite(), genuine.security_suite()
    assert security is not None
    further = FurtherArchive("debian-security", f"{proxy.url}/~both/debian-security/live", (security.name,))
    stanzas = [stanza for each in genuine.index(security).values() for stanza in each]
    ours = {each.name: each.version for (text, *_) in genuine.index(suite).values() for each in [Package(text, {})]}
    fixes = (Package(text, {}) for text in reversed(stanzas))
    name = next(each.name for each in fixes if each.name in ours and is_newer(each.version, ours[each.name]))
    suites = (suite.name, f"{suite.name}-updates")
    wanted = ClosureRequest((name,), suites=suites, architectures=("amd64",), further=(further,))
    closure = AptSolver().solve(wanted, f"{proxy.url}/~both/debian/live", tmp_path)
    listed = {f"sha256:{digest}" for text in stanzas for digest in re.findall(r"^SHA256: (\w+)$", text, re.MULTILINE)}
    assert [file.archive for file in closure.files if file.name == name] == ["debian-security"]
    assert {file.digest for file in closure.files if file.archive} <= listed


def test_foreign_packages_have_their_architecture(proxy: Snapproxy, tmp_path: Path) -> None:
    suite = genuine.main_suite().name
    wanted = ClosureRequest(("libc6:i386", "hello"), suites=(suite,), architectures=("amd64", "i386"))
    closure = AptSolver().solve(wanted, f"{proxy.url}/~foreign/debian/live", tmp_path)
    found = {(file.name, file.architecture) for file in closure.files}
    assert {("libc6", "i386"), ("libgcc-s1", "i386"), ("hello", "amd64"), ("libc6", "amd64")} <= found
