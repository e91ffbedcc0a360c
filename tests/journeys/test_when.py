"""`snapproxy when` finds the instant of roots that real package managers built, or says that it cannot tell."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.alpine_world import FIRST as ALPINE_FIRST
from tests.fakes.alpine_world import HOST as ALPINE_HOST
from tests.fakes.alpine_world import REPOSITORY, AlpineWorld
from tests.fakes.alpine_world import SECOND as ALPINE_SECOND
from tests.fakes.arch import FIRST as ARCH_FIRST
from tests.fakes.arch import SECOND as ARCH_SECOND
from tests.fakes.arch import ArchWorld
from tests.fakes.bootstrap import mmdebstrap, tool
from tests.fakes.content import epoch
from tests.fakes.five_states import STATES, FiveStates
from tests.fakes.images import image_of_folder
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.proxy import configuration as configuration_of
from tests.fakes.rpm_world import RpmWorld
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def five_states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FiveStates]:
    world = FiveStates(tmp_path_factory.mktemp("five-states"))
    yield world
    world.close()


def when(configuration: Path, subject: Path | str, *options: str) -> list[dict[str, Any]]:
    done = run("when", str(subject), "--json", "--config", str(configuration), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("state", range(STATES))
def test_roots_of_mmdebstrap(five_states: FiveStates, state: int, tmp_path: Path, built: Path) -> None:
    """Pinned by address: exact. Pinned by the proxy, with unchanged sources: the span of the archive's state."""
    configuration = five_states.configuration(tmp_path / "snapproxy")
    at = five_states.instants[state]
    with Snapproxy(configuration) as proxy:
        mmdebstrap(five_states, built / "root", "http://ftp.debian.org/debian", http_proxy=proxy.proxy(at))
        pinned = f"deb {proxy.url}/debian/{at} {five_states.codename} main\n"
    (found,) = when(configuration, built / "root")
    assert (found["confidence"], found["warnings"]) == ("good", []), found
    first, last = five_states.span(state)
    assert epoch(found["earliest"]) in range(first - 6 * 3600, first + 1), found
    assert epoch(found["latest"]) in range(epoch(at), last + 1), found
    assert first <= epoch(found["at"]) <= last
    sources = built / "root/etc/apt/sources.list"
    sources.write_text(pinned)
    (found,) = when(configuration, built / "root")
    assert (found["confidence"], found["at"], found["earliest"]) == ("exact", at, at), found


def a_pacman_root(client: PacmanRoot, root: Path, mirrorlist: str) -> None:
    """Lay out the files of a private pacman as an installed system has them."""
    for folder in ("etc/pacman.d", "var/lib/pacman", "var/log"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(client.folder / "db/local", root / "var/lib/pacman/local")
    shutil.copy(client.folder / "log", root / "var/log/pacman.log")
    (root / "etc/pacman.conf").write_text(
        "[options]\nArchitecture = auto\n[core]\nInclude = /etc/pacman.d/mirrorlist\n"
    )
    (root / "etc/pacman.d/mirrorlist").write_text(mirrorlist)


@pytest.mark.parametrize(("at", "first", "last"), [(ARCH_FIRST, 1, 6), (ARCH_SECOND, 7, 13)])
def test_a_root_of_pacman(
    arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: Callable[[str], PacmanRoot], tmp_path: Path,
    at: str, first: int, last: int,
) -> None:  # fmt: skip
    """With unchanged mirrors the days that list its packages; with the archive's address of a day that day.

    A time up to 54 hours after the last day of a state (the archive's `max_gap`) has that day's folder too.
    """
    client = make_pacman("client")
    client.server(f"{arch_proxy.url}/archlinux/{at}/$repo/os/$arch")
    outcome = client.run("-Sy", "dummy", "libtest++")
    assert outcome.code == 0, outcome.text
    a_pacman_root(client, tmp_path / "unchanged", "Server = https://mirror.example.invalid/$repo/os/$arch\n")
    (found,) = when(arch_proxy.configuration, tmp_path / "unchanged")
    assert found["packages"] == 2
    assert found["confidence"] == "good", found["notes"]
    assert epoch(f"202406{first:02}T000000Z") <= epoch(found["at"]) <= epoch(f"202406{last:02}T235959Z"), found
    assert epoch(found["earliest"]) <= epoch(at) <= epoch(found["latest"])
    a_pacman_root(client, tmp_path / "pinned", "Server=https://archive.archlinux.org/repos/2024/06/09/$repo/os/$arch\n")
    (found,) = when(arch_proxy.configuration, tmp_path / "pinned")
    assert found["earliest"] == "20240609T000000Z" or at == ARCH_FIRST, found
    assert found["confidence"] == ("exact" if at == ARCH_SECOND else "weak"), found


@pytest.fixture
def alpine(tmp_path: Path) -> Iterator[AlpineWorld]:
    world = AlpineWorld(tmp_path / "alpine")
    yield world
    world.close()


@pytest.mark.parametrize("at", [ALPINE_FIRST, ALPINE_SECOND])
def test_a_root_of_apk(alpine: AlpineWorld, tmp_path: Path, at: str) -> None:
    """The database in apk's form, with the build dates of the index; its packages are in an archive of every second."""
    root, packages = tmp_path / "root", alpine.first if at == ALPINE_FIRST else alpine.second
    configuration = alpine.configuration(tmp_path / "snapproxy")
    (root / "lib/apk/db").mkdir(parents=True)
    (root / "etc/apk").mkdir(parents=True)
    (root / "etc/apk/repositories").write_text(f"http://{ALPINE_HOST}/alpine/{REPOSITORY}\n")
    (root / "etc/apk/arch").write_text("x86_64\n")
    built = epoch("20240520T000000Z")
    records = (f"C:Q1x=\nP:{each.name}\nV:{each.version}\nA:x86_64\nt:{built}\n\n" for each in packages)
    (root / "lib/apk/db/installed").write_text("".join(records))
    (found,) = when(configuration, root)
    assert found["confidence"] == "good", found
    changed = epoch("20240620T000000Z")
    assert (epoch(found["at"]) < changed) == (at == ALPINE_FIRST), found
    assert epoch(found["earliest"]) <= epoch(at) <= epoch(found["latest"])
    edge = found["latest"] if at == ALPINE_FIRST else found["earliest"]
    assert abs(epoch(edge) - changed) <= 3600, (found["earliest"], found["latest"], found["at"], found["notes"])


@pytest.mark.parametrize("form", ["oci", "docker-archive"])
def test_an_image_of_skopeo(small_world: World, tmp_path: Path, form: str) -> None:
    """The sources and the database are read from the layers; nothing is unpacked."""
    layer = tmp_path / "layer"
    (layer / "etc/apt").mkdir(parents=True)
    (layer / "etc/apt/sources.list").write_text(
        f"deb http://snapshot.debian.org/archive/debian/{FIRST} bookworm main\n"
    )
    layout, target = tmp_path / "layout", tmp_path / "image.tar"
    image_of_folder(layer, layout, created="2024-06-01T12:00:00Z")
    subject: Path | str = layout
    if form == "docker-archive":
        tool(
            "skopeo",
            "copy",
            "--insecure-policy",
            f"oci:{layout}:image",
            f"docker-archive:{target}",
            TMPDIR=str(tmp_path),
        )
        subject = target
    (found,) = when(configuration_of(tmp_path / "snapproxy", small_world), subject, "--offline")
    assert (found["kind"], found["confidence"], found["at"]) == ("image", "exact", FIRST), found


def test_a_root_of_rpm(rpm_world: RpmWorld, tmp_path: Path) -> None:
    """A copy of the database is queried by this machine's rpm; the root itself is not written to."""
    package, root = tmp_path / "hello.rpm", tmp_path / "root"
    package.write_bytes(rpm_world.package(FIRST, "hello").data)
    root.mkdir()
    database = ["--root", str(root), "--dbpath", "/var/lib/rpm", "--define", "_db_backend sqlite"]
    tool("rpm", *database, "--nodeps", "--noplugins", "-i", "--justdb", str(package))
    files = sorted(root.rglob("*"))
    before = int(time.time())
    (found,) = when(rpm_world.configuration(tmp_path / "snapproxy"), root)
    assert (found["family"], found["packages"], found["confidence"]) == ("rpm", 1, "weak")
    assert epoch(found["earliest"]) <= epoch(found["latest"]) <= before
    assert sorted(root.rglob("*")) == files
