"""Roots pinned by the script that snapproxy serves, used by their real clients, and then restored."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.arch import FIRST as FIRST_DAY
from tests.fakes.arch import SECOND as SECOND_DAY
from tests.fakes.arch import ArchWorld
from tests.fakes.forms import SECURITY, keyring_of
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.pinning import Shell, age, look, shells
from tests.fakes.proxy import Snapproxy
from tests.fakes.proxy import run as verb
from tests.fakes.rpm_root import RELEASE, DnfRoot, ZypperRoot
from tests.fakes.rpm_world import ARCHIVE, HOST, VERSIONS, RpmWorld, file_name
from tests.fakes.world import FIRST, SECOND, World

pytestmark = pytest.mark.journey
CDN = "http://deb" + ".debian.org/debian"


@pytest.fixture(scope="module")
def all_shells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shell]:
    return shells(tmp_path_factory.mktemp("shells"))


def script(proxy: Snapproxy, when: str) -> str:
    """Fetch the script as a build would: it contains the address that was requested."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{proxy.url}/{when}/pin.sh", timeout=30) as answer:
        return str(answer.read().decode())


def run(shell: Shell, text: str, root: Path, *options: str) -> None:
    done = shell.run(text, "--root", str(root), *options)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["dash", "busybox"])
def test_apt_forth_and_back_and_every_file_as_it_was(
    world: World, snapproxy: Snapproxy, apt_root: Callable[[str], AptRoot], all_shells: dict[str, Shell], name: str
) -> None:
    """Lists need no cleaning on the way back: the address contains the time, so each time has its own."""
    root, shell = apt_root("apt"), all_shells[name]
    key = keyring_of(world, root)
    root.sources(f"deb [signed-by={key}] {CDN} {world.codename} main")
    root.deb822(
        f"Types: deb\nURIs: {SECURITY}\nSuites: {world.codename}-security\nComponents: main\nSigned-By: {key}\n"
    )
    etc = root.folder / "etc"
    age(etc)
    before = look(etc, fraction=shell.fraction)
    for state in (world.second, world.first, world.second):
        run(shell, script(snapproxy, state.when), root.folder)
        update = root.update()
        assert update.code == 0, update.text
        assert root.candidates(*state.versions) == state.versions
    assert root.download("xz-utils").code == 0
    run(shell, script(snapproxy, FIRST), root.folder, "--undo")
    assert look(etc, fraction=shell.fraction) == before


def test_apt_goes_back_with_a_list_of_mirrors(
    world: World, snapproxy: Snapproxy, apt_root: Callable[[str], AptRoot], all_shells: dict[str, Shell]
) -> None:
    """As in Debian's cloud images. The source's own address has no time, so apt would keep its newer lists."""
    root = apt_root("apt")
    mirrors = root.folder / "etc/apt/mirrors/debian.list"
    mirrors.parent.mkdir()
    mirrors.write_text(f"{CDN}\n")
    # apt of this machine finds the list by its whole path, the system in the root by the same one.
    itself = root.folder / str(root.folder).lstrip("/")
    itself.parent.mkdir(parents=True)
    itself.symlink_to("/")
    key = keyring_of(world, root)
    root.sources(f"deb [signed-by={key}] mirror+file://{mirrors} {world.codename} main")
    for state in (world.second, world.first):
        run(all_shells["dash"], script(snapproxy, state.when), root.folder)
        update = root.update()
        assert update.code == 0, update.text
        assert root.candidates("xz-utils") == {"xz-utils": state.versions["xz-utils"]}


def test_what_a_pinned_root_asks_for_is_recorded(
    world: World, snapproxy: Snapproxy, apt_root: Callable[[str], AptRoot], all_shells: dict[str, Shell]
) -> None:
    root = apt_root("apt")
    root.sources(f"deb [signed-by={keyring_of(world, root)}] {CDN} {world.codename} main")
    run(all_shells["dash"], script(snapproxy, f"{FIRST}/~build-1"), root.folder)
    assert root.update().code == 0
    shown = verb("capture", "show", "build-1", "--config", str(snapproxy.configuration), "--json")
    assert shown.returncode == 0, shown.stderr
    assert f"dists/{world.codename}/InRelease" in shown.stdout


def test_a_refusal_of_the_pin_is_an_error_of_apt(
    world: World, snapproxy: Snapproxy, apt_root: Callable[[str], AptRoot], all_shells: dict[str, Shell]
) -> None:
    root = apt_root("apt")
    root.sources(f"deb [signed-by={keyring_of(world, root)}] {CDN} {world.codename} main")
    run(all_shells["dash"], script(snapproxy, "20300101"), root.folder)
    update = root.update()
    assert update.code == 100
    assert " 425 " in update.text


@pytest.fixture
def arch(tmp_path: Path) -> Iterator[ArchWorld]:
    world = ArchWorld(tmp_path / "arch")
    yield world
    world.close()


def test_pacman_forth_and_back(arch: ArchWorld, tmp_path: Path, all_shells: dict[str, Shell]) -> None:
    client = PacmanRoot(tmp_path / "pacman", arch.key)
    client.server("https://mirror.example.invalid/pub/archlinux/$repo/os/$arch")
    root = tmp_path / "system"
    (root / "etc").mkdir(parents=True)
    (client.folder / "pacman.conf").rename(root / "etc/pacman.conf")
    (client.folder / "pacman.conf").symlink_to(root / "etc/pacman.conf")
    age(root)
    before = look(root)
    with Snapproxy(arch.configuration(tmp_path / "snapproxy")) as proxy:
        for when, package in ((SECOND_DAY, arch.new), (FIRST_DAY, arch.old)):
            run(all_shells["dash"], script(proxy, when), root)
            outcome = client.run("-Sy")
            assert outcome.code == 0, outcome.text
            assert client.versions()["dummy"] == package.version
        run(all_shells["dash"], script(proxy, FIRST_DAY), root, "--undo")
    client.close()
    assert look(root) == before


def test_dnf_and_zypper_forth_and_back(rpm_world: RpmWorld, tmp_path: Path, all_shells: dict[str, Shell]) -> None:
    """dnf's repository names other hosts in a metalink, and its own address in a comment, as Fedora's do."""
    dnf, zypper = DnfRoot(tmp_path / "dnf"), ZypperRoot(tmp_path / "zypper")
    keys = f"gpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://{rpm_world.public_key}\n"
    base = f"baseurl=https://{HOST}/{ARCHIVE}/updates/"
    root = zypper.folder
    for link, folder in (
        (dnf.folder / "repos", root / "etc/yum.repos.d"),
        (dnf.folder / "dnf.conf", root / "etc/dnf/dnf.conf"),
    ):
        folder.parent.mkdir(exist_ok=True)
        link.rename(folder)
        link.symlink_to(folder)
    dnf.repository(
        f"[t]\nname=t\n#{base}$releasever/Everything/$basearch/\nmetalink=https://mirrors.example.invalid/x?y\n{keys}"
    )
    zypper.repository(f"[t]\nname=t\n{base}{RELEASE}/Everything/x86_64\nenabled=1\nautorefresh=1\n{keys}")
    age(root / "etc")
    before = look(root / "etc")
    with Snapproxy(rpm_world.configuration(tmp_path / "snapproxy")) as proxy:
        for when in (SECOND, FIRST):
            time.sleep(1.1)  # dnf counts the age of its files in whole seconds
            run(all_shells["dash"], script(proxy, when), root)
            outcome = dnf.download("hello")
            assert outcome.code == 0, outcome.text
            assert list(dnf.fetched()) == [file_name("hello", VERSIONS[when]["hello"])]
            refreshed = zypper.zypper("refresh", "--force")
            assert refreshed.code == 0, refreshed.text
            assert zypper.available() == VERSIONS[when]
        run(all_shells["dash"], script(proxy, FIRST), root, "--undo")
    after = look(root / "etc")
    assert {name: after[name] for name in before} == before
