"""Builds that were recorded online run again without network.

The same clients get the same bytes, and make the same checks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.alpine_world import HOST as ALPINE
from tests.fakes.alpine_world import REPOSITORY as ALPINE_MAIN
from tests.fakes.alpine_world import AlpineWorld
from tests.fakes.apk_root import apk_in
from tests.fakes.apt_root import AptRoot, Outcome
from tests.fakes.arch import FIRST as ARCH_FIRST
from tests.fakes.arch import ArchWorld
from tests.fakes.faults import Status
from tests.fakes.forms import DEBIAN, SECURITY, trouble
from tests.fakes.no_route import without_routes
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.present import Present
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.replaying import NAME, Build, Digests, carry, digests, online_and_offline, only_an_artifact
from tests.fakes.rpm_root import RELEASE, DnfRoot, ZypperRoot, installed
from tests.fakes.rpm_world import ARCHIVE, HOST, RpmWorld
from tests.fakes.signing import SigningKey
from tests.fakes.world import FIRST, IN_THE_GAP, SECOND, State, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
]

_DESKTOP = 'Acquire::Languages { "de"; "en"; };'
"""As on a desktop: apt requests indexes of descriptions, which the archive lacks."""


def succeeded(outcome: Outcome) -> str:
    assert (outcome.code, trouble(outcome.text)) == (0, []), outcome.text
    return outcome.text


def binaries(state: State) -> Digests:
    """Return the files of installing everything in the main suite, under apt's names."""
    packages = [each for each in state.debian.packages if not each.is_source]
    return {
        f"{each.name}_{each.version.replace(':', '%3a')}_{each.architecture}.deb": each.fields["SHA256"]
        for each in packages
    }


# --- apt --------------------------------------------------------------------------------------------------------------


def apt_root(world: World, folder: Path, base: str, security: str, *configured: str) -> AptRoot:
    """Make a client whose sources list every suite, and source packages."""
    root = AptRoot(folder)
    root.configure(_DESKTOP, *configured)
    key = root.keyring(world.key.keyring)
    suites = [(base, world.codename), (base, f"{world.codename}-updates"), (security, f"{world.codename}-security")]
    kinds = ("deb", "deb-src")
    root.sources(*(f"{kind} [signed-by={key}] {at} {suite} main" for kind in kinds for at, suite in suites))
    return root


def updated_and_downloaded(root: AptRoot) -> Digests:
    """Update twice, as a build in two layers does; return the downloaded packages and sources."""
    for _ in range(2):
        succeeded(root.update())
    succeeded(root.download("xz-utils"))
    succeeded(root.run("apt-get", "source", "--download-only", "hello"))
    source = {path.name: path.read_bytes() for path in root.folder.glob("hello_*")}
    assert len(source) >= 3
    return digests(root.fetched() | source)


def through_proxy(world: World, at: Snapproxy, folder: Path, when: str) -> AptRoot:
    return apt_root(world, folder, DEBIAN, SECURITY, f'Acquire::http::Proxy "{at.proxy(when, NAME)}";')


def from_mirror(world: World, at: Snapproxy, folder: Path, when: str) -> AptRoot:
    return apt_root(world, folder, *(f"{at.url}/~{NAME}/{archive}/{when}" for archive in ("debian", "debian-security")))


@pytest.mark.parametrize(
    ("form", "when"),
    [
        (through_proxy, FIRST),
        (from_mirror, "live"),
        pytest.param(from_mirror, FIRST, marks=pytest.mark.long),
        pytest.param(through_proxy, f"{IN_THE_GAP}.nearest", marks=pytest.mark.long),
        pytest.param(through_proxy, "latest", marks=pytest.mark.long),
    ],
)
def test_apt(world: World, tmp_path: Path, form: Callable[..., AptRoot], when: str) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    online, offline = online_and_offline(
        settings, lambda at, folder: updated_and_downloaded(form(world, at, folder, when)), tmp_path
    )
    assert offline == online
    state = world.second if when in ("latest", "live") else world.first
    assert binaries(state).items() <= offline.items()


def test_apt_from_an_artifact_where_it_lies(world: World, tmp_path: Path) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    with Snapproxy(settings, name="online") as at:
        online = updated_and_downloaded(through_proxy(world, at, tmp_path / "online", FIRST))
    artifact = only_an_artifact(settings)
    with without_routes(), Snapproxy(settings, options=["--from", artifact], name="offline") as at:
        assert updated_and_downloaded(through_proxy(world, at, tmp_path / "offline", FIRST)) == online


def test_apt_with_roots_in_two_files_and_a_keyring_that_does_not_hold_their_key(world: World, tmp_path: Path) -> None:
    """The absence of InRelease is replayed.

    The client verifies the signature itself, offline too.
    """
    for server in (world.snapshot, world.mirror):
        server.fault("*/InRelease", Status(404))
    settings = configuration(tmp_path / "snapproxy", world)

    def build(at: Snapproxy, folder: Path) -> Digests:
        root = from_mirror(world, at, folder, FIRST)
        assert root.update().code == 0
        succeeded(root.download("xz-utils"))
        return digests(root.fetched())

    online, offline = online_and_offline(settings, build, tmp_path)
    assert offline == online == binaries(world.first)
    stranger = SigningKey(tmp_path / "stranger")
    with without_routes(), Snapproxy(settings, options=["--offline"], name="again") as at:
        root = AptRoot(tmp_path / "doubting")
        base = f"{at.url}/~{NAME}/debian/{FIRST}"
        root.sources(f"deb [signed-by={root.keyring(stranger.keyring)}] {base} {world.codename} main")
        outcome = root.update()
    stranger.close()
    assert outcome.code == 100, outcome.text
    assert "NO_PUBKEY" in outcome.text


def test_apt_of_the_present_though_the_archive_is_published_anew_in_mid_build(
    third_party: Present, tmp_path: Path
) -> None:
    settings = configuration_of_present(third_party, tmp_path / "snapproxy")

    def build(at: Snapproxy, folder: Path) -> Digests:
        root = AptRoot(folder)
        key = root.keyring(third_party.key.keyring)
        root.sources(f"deb [signed-by={key}] {at.url}/~{NAME}/debian/live stable main")
        succeeded(root.update())
        if folder.name == "online":
            third_party.publish(keeping=("pool/",))
        succeeded(root.update())
        succeeded(root.run("apt-get", "download", "hello"))
        return digests({path.name: path.read_bytes() for path in folder.glob("*.deb")})

    old = third_party.tree.files[third_party.package]
    online, offline = online_and_offline(settings, build, tmp_path)
    assert offline == online == {"hello_1.0_amd64.deb": old.sha256}
    assert third_party.tree.files[third_party.package].sha256 != old.sha256


def test_apt_under_run(world: World, tmp_path: Path) -> None:
    settings = configuration(tmp_path / "snapproxy", world)

    def build(folder: Path, *options: str) -> Digests:
        root = apt_root(world, folder, DEBIAN, SECURITY)
        script = "apt-get update && apt-get install --download-only -y xz-utils"
        pinned = ("run", "--at", FIRST, "--capture", NAME, "--config", str(settings), *options)
        done = run(*pinned, "--", "sh", "-c", script, extra=root.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return digests(root.fetched())

    online = build(tmp_path / "online")
    carry(settings)
    with without_routes():
        assert build(tmp_path / "offline", "--offline") == online == binaries(world.first)


@pytest.fixture
def third_party(tmp_path: Path) -> Iterator[Present]:
    key = SigningKey(tmp_path / "gnupg")
    present = Present(key)
    yield present
    present.close()
    key.close()


def configuration_of_present(present: Present, folder: Path) -> Path:
    folder.mkdir()
    file = folder / "config.toml"
    pace = "connections = 8\nrequests_per_second = 500\nburst = 500\n"
    file.write_text(
        f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
        f'[archives.debian]\nsnapshot = ["{present.snapshot.url}/archive/debian"]\n'
        f'mirrors = ["{present.mirror.url}/debian"]\n'
        f'keyrings = ["{present.key.keyring}"]\n[upstreams."127.0.0.2"]\n{pace}[upstreams."127.0.0.3"]\n{pace}'
    )
    return file


def test_two_builds_at_once_through_two_processes_make_one_whole_capture(world: World, tmp_path: Path) -> None:
    settings = configuration(tmp_path / "snapproxy", world)

    def build(at: Snapproxy, folder: Path) -> Digests:
        return updated_and_downloaded(through_proxy(world, at, folder, FIRST))

    with (
        Snapproxy(settings, name="one") as one,
        Snapproxy(settings, name="other") as other,
        ThreadPoolExecutor(2) as pool,
    ):
        first, second = pool.map(build, (one, other), (tmp_path / "one", tmp_path / "other"))
    assert first == second
    shown = run("capture", "show", NAME, "--json", "--config", str(settings))
    recorded = json.loads(shown.stdout)["files"]
    assert len({(each["archive"], each["path"]) for each in recorded}) == len(recorded)
    assert set(first.values()) <= {each.get("sha256") for each in recorded}
    carry(settings)
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        assert build(at, tmp_path / "offline") == first


# --- pacman -----------------------------------------------------------------------------------------------------------


def test_pacman(arch: ArchWorld, tmp_path: Path) -> None:
    """Every package with its signature, and the databases with the recorded absence of their signatures."""
    roots: list[PacmanRoot] = []

    def build(at: Snapproxy, folder: Path) -> Digests:
        root = PacmanRoot(folder, arch.key)
        roots.append(root)
        root.server(f"{at.url}/~{NAME}/archlinux/{ARCH_FIRST}/$repo/os/$arch")
        for arguments in (("-Sy",), ("-Syu", "dummy", "libtest++")):
            outcome = root.run(*arguments)
            assert outcome.code == 0, outcome.text
        assert root.run("-Q", "dummy").text.split() == ["dummy", arch.old.version]
        return digests({path.name: path.read_bytes() for path in (folder / "cache").iterdir()})

    online, offline = online_and_offline(arch.configuration(tmp_path / "snapproxy"), build, tmp_path)
    for root in roots:
        root.close()
    assert offline == online
    assert set(online) == {f"{each.file}{suffix}" for each in (arch.old, arch.kept) for suffix in ("", ".sig")}


# --- dnf and zypper ---------------------------------------------------------------------------------------------------


def untouched(world: RpmWorld) -> str:
    """Return a repository file without any mention of snapproxy: signed metadata, unsigned packages."""
    url = f"http://{HOST}/{ARCHIVE}/updates/{RELEASE}/Everything/x86_64"
    return (
        f"[t]\nname=t\nbaseurl={url}\nenabled=1\nautorefresh=1\ngpgcheck=0\nrepo_gpgcheck=1\n"
        f"metadata_expire=0\ngpgkey=file://{world.public_key}\n"
    )


def with_dnf(world: RpmWorld, when: str) -> Build:
    def build(at: Snapproxy, folder: Path) -> Digests:
        root = DnfRoot(folder)
        root.repository(untouched(world))
        root.main("keepcache=1\n")
        for arguments in (("makecache",), ("install", "hello", "steady"), ("upgrade", "--refresh")):
            outcome = root.dnf(*arguments, http_proxy=at.proxy(when, NAME))
            assert outcome.code == 0, outcome.text
        return digests(root.fetched()) | installed(root.root)

    return build


def with_zypper(world: RpmWorld, when: str) -> Build:
    def build(at: Snapproxy, folder: Path) -> Digests:
        root = ZypperRoot(folder)
        root.repository(untouched(world))
        for arguments in (("refresh", "--force"), ("install", "hello", "steady"), ("update",), ("download", "hello")):
            outcome = root.zypper(*arguments, http_proxy=at.proxy(when, NAME))
            assert outcome.code == 0, outcome.text
        return digests(root.fetched()) | installed(root.folder)

    return build


@pytest.mark.parametrize(
    ("client", "when"),
    [
        (with_dnf, FIRST),
        (with_zypper, "live"),
        pytest.param(with_dnf, "live", marks=pytest.mark.long),
        pytest.param(with_zypper, FIRST, marks=pytest.mark.long),
    ],
)
def test_rpm(rpm_world: RpmWorld, tmp_path: Path, client: Callable[[RpmWorld, str], Build], when: str) -> None:
    settings = rpm_world.configuration(tmp_path / "snapproxy")
    online, offline = online_and_offline(settings, client(rpm_world, when), tmp_path)
    assert offline == online
    hello = rpm_world.package(SECOND if when == "live" else when, "hello")
    assert hello.sha256 in offline.values()


# --- apk --------------------------------------------------------------------------------------------------------------


def test_apk(tmp_path: Path) -> None:
    """The real apk if there is one; the time is the proxy's, whatever its repositories contain."""
    world = AlpineWorld(tmp_path)

    def build(at: Snapproxy, folder: Path) -> Digests:
        client = apk_in(folder, world.keys)
        client.repositories(f"http://{ALPINE}/alpine/{ALPINE_MAIN}")
        proxy = at.proxy(FIRST, NAME)
        client.update(proxy=proxy)
        client.add("hello", "gone", proxy=proxy)
        client.age(36_000)
        client.add("rebuilt", proxy=proxy)
        return digests({name: client.read(name).encode() for name in ("hello", "gone", "rebuilt")})

    online, offline = online_and_offline(world.configuration(tmp_path / "snapproxy"), build, tmp_path)
    world.close()
    expected = {each.name: f"{each.name} {each.version}\n".encode() for each in world.first}
    assert offline == online == digests(expected)
