"""Unchanged debootstrap, mmdebstrap and mkosi build a root as of an instant."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.arch import ArchWorld
from tests.fakes.bootstrap import EPOCH, mmdebstrap, tool
from tests.fakes.mkosi import mkosi
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, SECOND, RootWorld

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]
UNMODIFIED = "http://ftp.debian.org/debian"
BOTH_FORMS = pytest.mark.parametrize(
    ("when", "form"), [(FIRST, "mirror form"), pytest.param(SECOND, "proxy form", marks=pytest.mark.long)]
)


@pytest.fixture
def root_proxy(root_world: RootWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(configuration(tmp_path / "snapproxy", root_world)) as process:
        yield process


def place(proxy: Snapproxy, when: str, form: str) -> tuple[str, dict[str, str]]:
    """Return the mirror to name, and its additions to the environment."""
    if form == "mirror form":
        return f"{proxy.url}/debian/{when}", {}
    return UNMODIFIED, {"http_proxy": proxy.proxy(when)}


def assert_is_of(world: RootWorld, when: str, root: Path, *, least: int) -> None:
    """Assert that every package in `root` is installed in that instant's version, and that at least `least` are."""
    asked = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    state = world.first if when == FIRST else world.second
    installed = [line.split() for line in lines]
    assert len(installed) >= least
    assert {name: (version, "ii") for name, version, _ in installed} == {
        name: (state.versions[name], status) for name, _, status in installed
    }
    changed = world.changed()
    assert any(name in changed for name, _, _ in installed)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap takes root")
@BOTH_FORMS
def test_debootstrap(root_world: RootWorld, root_proxy: Snapproxy, built: Path, when: str, form: str) -> None:
    mirror, environment = place(root_proxy, when, form)
    root = built / "root"
    keyring = f"--keyring={root_world.key.keyring}"
    tool("debootstrap", "--variant=minbase", keyring, root_world.codename, str(root), mirror, **environment)
    assert_is_of(root_world, when, root, least=80)


@BOTH_FORMS
def test_mmdebstrap(root_world: RootWorld, root_proxy: Snapproxy, built: Path, when: str, form: str) -> None:
    mirror, environment = place(root_proxy, when, form)
    root = built / "root"
    mmdebstrap(root_world, root, mirror, **environment)
    assert_is_of(root_world, when, root, least=50)


@pytest.mark.long
def test_the_same_instant_makes_the_same_tar_and_is_asked_for_once(
    root_world: RootWorld, root_proxy: Snapproxy, built: Path
) -> None:
    mirror, _ = place(root_proxy, FIRST, "mirror form")
    digests = set()
    for name in ("one.tar", "two.tar"):
        root_world.reset()
        mmdebstrap(root_world, built / name, mirror, SOURCE_DATE_EPOCH=EPOCH)
        digests.add(hashlib.sha256((built / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    assert root_world.log.requests() == []


def write_conf(folder: Path, distribution: str, *lines: str) -> None:
    """Write mkosi.conf for a plain folder, without a cache outside of it.

    The worlds are signed with a key of their own, and mkosi trusts only those of the distributions.
    """
    head = ["[Distribution]", f"Distribution={distribution}", *lines, "RepositoryKeyCheck=no"]
    rest = ["[Output]", "Format=directory", "[Content]", "Bootable=no", "CleanPackageMetadata=no"]
    rest += [
        "[Build]",
        "BuildSources=",
        f"PackageCacheDirectory={folder}/packages",
        f"WorkspaceDirectory={folder}/work",
    ]
    for name in ("packages", "work"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "mkosi.conf").write_text("\n".join([*head, *rest]) + "\n")


@pytest.mark.long
@pytest.mark.parametrize("when", [FIRST, SECOND])
def test_mkosi_with_snapshot_and_mirror(root_world: RootWorld, root_proxy: Snapproxy, built: Path, when: str) -> None:
    """One `Snapshot=` for three archives whose dumps have different ids."""
    write_conf(built, "debian", f"Release={root_world.codename}", f"Snapshot={when}", f"Mirror={root_proxy.url}")
    outcome = mkosi(built, "latest-snapshot")
    assert outcome.out.split() == [root_world.debian.ids[-1]], outcome.text
    outcome = mkosi(built, "build")
    assert outcome.code == 0, outcome.text
    assert_is_of(root_world, when, built / "image", least=50)
    assert " gpg done" in root_proxy.log
    for archive in ("debian", "debian-debug", "debian-security"):
        assert f"/archive/{archive}/{when}/dists/" in root_proxy.log


@pytest.mark.long
def test_mkosi_builds_arch_of_a_day(built: Path, tmp_path: Path) -> None:
    """Arch's root begins with `filesystem`; mkosi requires an os-release in it."""
    files = (("usr/lib/os-release", b"ID=arch\nNAME=Arch\n"),)
    world = ArchWorld(tmp_path / "arch", changing="filesystem", files=files)
    with contextlib.closing(world), Snapproxy(world.configuration(tmp_path / "snapproxy")) as proxy:
        for day, package in (("2024/06/09", world.new), ("2024/06/03", world.old)):
            write_conf(built, "arch", f"Snapshot={day}", f"Mirror={proxy.url}")
            outcome = mkosi(built, "--force", "build")
            assert outcome.code == 0, outcome.text
            installed = built / f"image/var/lib/pacman/local/filesystem-{package.version}/desc"
            assert package.version in installed.read_text()
        assert mkosi(built, "latest-snapshot").out.split() == ["2024/06/11"]
