"""Lists of other tools become captures, from which real clients install without network."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import platform
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.alpine import ApkFile
from tests.fakes.alpine_world import FIRST as ALPINE_FIRST
from tests.fakes.alpine_world import FOLDER as ALPINE_FOLDER
from tests.fakes.alpine_world import HOST as ALPINE_HOST
from tests.fakes.alpine_world import REPOSITORY as ALPINE_MAIN
from tests.fakes.alpine_world import AlpineWorld
from tests.fakes.apk_root import apk_in
from tests.fakes.apt_root import AptRoot
from tests.fakes.content import FixedTree, epoch, stamp
from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.publisher import SuitePlan
from tests.fakes.replaying import NAME, carry, digests
from tests.fakes.rpm_root import RELEASE, DnfRoot, installed
from tests.fakes.rpm_world import ARCHIVE, HOST, RpmWorld
from tests.fakes.syft_documents import SyftPackage, cyclonedx, own_json
from tests.fakes.world import FIRST, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
]

SyftForm = Callable[[str, Iterable[SyftPackage]], str]


def prefetch(settings: Path, *arguments: str) -> dict[str, Any]:
    done = run("prefetch", *arguments, "--capture", NAME, "--json", "--config", str(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def apt_root(world: World, folder: Path, at: Snapproxy, when: str, suite: str) -> AptRoot:
    root = AptRoot(folder)
    root.configure('Acquire::Languages { "en"; };', f'Acquire::http::Proxy "{at.proxy(when, NAME)}";')
    key = root.keyring(world.key.keyring)
    root.sources(f"deb [signed-by={key}] http://ftp.debian.org/debian {suite} main")
    return root


def installed_offline(
    world: World, settings: Path, folder: Path, when: str, *packages: str, suite: str = ""
) -> dict[str, str]:
    """Return the packages that apt downloads without network from the carried capture, with their digests.

    `suite` is the name of the suite in apt's sources ('' for its codename).
    """
    carry(settings)
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        root = apt_root(world, folder, at, when, suite or world.codename)
        updated = root.update()
        assert updated.code == 0, updated.text
        downloaded = root.download(*packages)
        assert downloaded.code == 0, downloaded.text
        return digests(root.fetched())


def sha256s(world: World) -> set[str]:
    return {each.fields["SHA256"] for each in world.first.debian.packages if not each.is_source}


def status_of(world: World) -> str:
    """Return the dpkg status of a system with every binary package of the first state."""
    return "\n".join(
        "".join(f"{name}: {each.fields[name]}\n" for name in _STATUS_FIELDS if name in each.fields)
        + "Status: install ok installed\n"
        for each in world.first.debian.packages
        if not each.is_source
    )


_STATUS_FIELDS = ("Package", "Architecture", "Version", "Multi-Arch", "Provides", "Pre-Depends", "Depends")


def buildinfo_of(world: World, folder: Path) -> Path:
    """Let dpkg-genbuildinfo record a build in a system with every binary package of the first state."""
    admin, tree = folder / "admin", folder / "tree"
    (admin / "updates").mkdir(parents=True)
    (admin / "status").write_text(status_of(world))
    (tree / "debian").mkdir(parents=True)
    (tree / "debian/control").write_text(
        "Source: hello\nMaintainer: A <a@example.org>\nBuild-Depends: xz-utils\n\n"
        "Package: hello\nArchitecture: any\nDescription: a test\n"
    )
    (tree / "debian/changelog").write_text(
        "hello (1.0) unstable; urgency=low\n\n  * A test.\n\n -- A <a@example.org>  Sat, 01 Jun 2024 00:00:00 +0000\n"
    )
    (tree / "debian/files").write_text("hello_1.0_amd64.deb misc optional\n")
    (folder / "hello_1.0_amd64.deb").write_bytes(b"built")
    command = ["dpkg-genbuildinfo", f"--admindir={admin}", "--build=binary", f"-O{folder / 'hello.buildinfo'}"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder / "hello.buildinfo"


@pytest.mark.parametrize("is_signed", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_buildinfo(world: World, tmp_path: Path, is_signed: bool) -> None:
    """Written by dpkg-genbuildinfo, and clear-signed as Debian publishes it. Its build date is today's."""
    settings = configuration(tmp_path / "snapproxy", world)
    file = buildinfo_of(world, tmp_path / "build")
    if is_signed:
        file.write_bytes(world.key.clear(file.read_bytes(), at=FIRST))
    found = prefetch(settings, "debian", "--from", str(file), "--suite", world.codename)
    (time,) = {each["time"] for each in found["times"]}
    assert {each["finding"] for each in found["entries"]} == {"resolved"}
    assert set(installed_offline(world, settings, tmp_path / "offline", time, "xz-utils").values()) == sha256s(world)


@pytest.mark.parametrize("options", [(), pytest.param(("--at", FIRST), marks=pytest.mark.long)])
def test_a_dpkg_status(world: World, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without a time the resolver finds one; apt's own update works with the suite's codename."""
    settings = configuration(tmp_path / "snapproxy", world)
    status = tmp_path / "status"
    status.write_text(status_of(world))
    found = prefetch(settings, "debian", "--from", str(status), "--suite", world.codename, *options)
    (time,) = {each["time"] for each in found["times"]}
    assert {each["finding"] for each in found["entries"]} == {"resolved"}
    assert set(installed_offline(world, settings, tmp_path / "offline", time, "xz-utils").values()) == sha256s(world)


def test_a_status_is_reproduced(world: World, tmp_path: Path) -> None:
    """`reproduce --from` finds the time of the list, and apt gets the same packages online and offline."""
    settings = configuration(tmp_path / "snapproxy", world)
    status = tmp_path / "status"
    status.write_text(status_of(world))
    root = AptRoot(tmp_path / "root")
    key = root.keyring(world.key.keyring)
    root.sources(f"deb [signed-by={key}] http://ftp.debian.org/debian {world.codename} main")
    clean = f"rm -rf {root.lists} {root.archives} && mkdir -p {root.lists}/partial {root.archives}/partial"
    script = f"{clean} && apt-get update && apt-get install --download-only -y xz-utils"
    options = ("--from", str(status), "--archive", "debian", "--suite", world.codename, "--config", str(settings))
    done = run("reproduce", *options, "--json", "--", "sh", "-c", script, extra=root.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout[done.stdout.index("{\n") :])
    assert (found["differences"], found["requests"]) == ([], [])
    assert found["list"] == {"not_requested": [], "not_listed": []}
    assert set(digests(root.fetched()).values()) == sha256s(world)


@pytest.mark.parametrize("form", [cyclonedx, pytest.param(own_json, marks=pytest.mark.long)])
def test_a_document_of_syft(world: World, tmp_path: Path, form: SyftForm) -> None:
    """It states the release. Without --suite the suites of that release are read."""
    settings = configuration(tmp_path / "snapproxy", world)
    binaries = [each for each in world.first.debian.packages if not each.is_source]
    document = tmp_path / "sbom.json"
    packages = [SyftPackage("deb", each.name, each.version, each.architecture) for each in binaries]
    document.write_text(form(f"debian-{platform.freedesktop_os_release()['VERSION_ID']}", packages))
    found = prefetch(settings, "--from", str(document))
    assert {each["finding"] for each in found["entries"]} == {"resolved"}
    (time,) = {each["time"] for each in found["times"]}
    assert set(installed_offline(world, settings, tmp_path / "offline", time, "xz-utils").values()) == sha256s(world)


@contextlib.contextmanager
def published_as_stable(world: World) -> Iterator[None]:
    """Publish the suite of the first state under two names, as Debian does: its codename and `stable`."""
    old = world.first.debian
    plan = SuitePlan(world.codename, old.packages, headers={"Suite": "stable"})
    new = world.publisher.tree(stamp(epoch(FIRST) - 3 * 24 * 3600), [plan])
    suite = f"dists/{world.codename}/"
    alias = {f"dists/stable/{path.removeprefix(suite)}": new.files[path] for path in new.paths() if suite in path}
    dumps = [each for each in world.debian.ids if (dump := world.debian.at(each)) and dump[1] is old]
    for each in dumps:
        world.debian.publish(each, FixedTree({**new.files, **alias}, new.packages))
    try:
        yield
    finally:
        for each in dumps:
            world.debian.publish(each, old)


@pytest.mark.parametrize("is_alias", [False, True])
def test_the_client_may_use_the_other_name_of_the_suite(world: World, tmp_path: Path, is_alias: bool) -> None:
    """The list is searched in the suite `stable`, its codename works offline as well; and the reverse."""
    settings = configuration(tmp_path / "snapproxy", world)
    status = tmp_path / "status"
    status.write_text(status_of(world))
    searched, used = (world.codename, "stable") if is_alias else ("stable", world.codename)
    with published_as_stable(world):
        found = prefetch(settings, "debian", "--from", str(status), "--suite", searched)
    (time,) = {each["time"] for each in found["times"]}
    offline = installed_offline(world, settings, tmp_path / "offline", time, "xz-utils", suite=used)
    assert set(offline.values()) == sha256s(world)


# --- rpm --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rpm_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmWorld]:
    world = RpmWorld(tmp_path_factory.mktemp("rpm"))
    yield world
    world.close()


def test_an_rpms_lock(rpm_world: RpmWorld, tmp_path: Path) -> None:
    """As Konflux writes it: addresses and digests. dnf checks the signed metadata offline."""
    settings = rpm_world.configuration(tmp_path / "snapproxy")
    tree = rpm_world.trees[FIRST]
    packages = {path: tree.files[path] for path in tree.paths() if path.endswith(".rpm")}
    lines = [
        f"  - url: http://{HOST}/{ARCHIVE}/{path}\n    repoid: updates\n    size: {content.size}\n"
        f"    checksum: sha256:{content.digests['sha256']}\n"
        for path, content in packages.items()
    ]
    lock = tmp_path / "rpms.lock.yaml"
    lock.write_text(
        "---\nlockfileVersion: 1\nlockfileVendor: redhat\narches:\n- arch: x86_64\n  packages:\n"
        + "".join(lines)
        + "  source: []\n  module_metadata: []\n"
    )
    found = prefetch(settings, "--from", str(lock), "--at", FIRST)
    assert {each["finding"] for each in found["entries"]} == {"resolved"}
    carry(settings)
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        root = DnfRoot(tmp_path / "offline")
        root.repository(
            f"[t]\nname=t\nbaseurl=http://{HOST}/{ARCHIVE}/updates/{RELEASE}/Everything/x86_64\nenabled=1\n"
            f"gpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://{rpm_world.public_key}\n"
        )
        root.main("keepcache=1\n")
        outcome = root.dnf("install", "hello", "steady", http_proxy=at.proxy(FIRST, NAME))
        assert outcome.code == 0, outcome.text
        assert installed(root.root) == rpm_world.versions[FIRST]
        assert set(digests(root.fetched()).values()) == {each.digests["sha256"] for each in packages.values()}


# --- apk --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def alpine(tmp_path: Path) -> Iterator[AlpineWorld]:
    world = AlpineWorld(tmp_path)
    yield world
    world.close()


def base64_of(algorithm: str, data: bytes) -> str:
    return f"{algorithm}-{b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def apko_lock(world: AlpineWorld) -> str:
    """Return the packages of the first state as `apko lock` writes them: parts with their ranges and digests."""

    def entry(file: ApkFile) -> dict[str, Any]:
        ends = [0, len(file.signature), len(file.signature) + len(file.control), len(file.whole)]
        ranges = [f"bytes={first}-{last - 1}" for first, last in itertools.pairwise(ends)]
        return {
            "name": file.name,
            "url": f"https://{ALPINE_HOST}/alpine/{ALPINE_FOLDER}/{file.file}",
            "version": file.version,
            "architecture": "x86_64",
            "signature": {"range": ranges[0], "checksum": base64_of("sha1", file.signature)},
            "control": {"range": ranges[1], "checksum": base64_of("sha1", file.control)},
            "data": {"range": ranges[2], "checksum": base64_of("sha256", file.data)},
            "checksum": file.identity,
        }

    contents = {
        "keyring": [],
        "build_repositories": [],
        "runtime_repositories": [],
        "repositories": [],
        "packages": [entry(each) for each in world.first],
    }
    return json.dumps({"version": "v1", "config": {"name": "apko.yaml", "checksum": ""}, "contents": contents})


def syft_document(form: SyftForm, world: AlpineWorld) -> str:
    packages = [SyftPackage("apk", each.name, each.version, "x86_64", each.identity) for each in world.first]
    return form("alpine-3.99.0", packages)


@pytest.mark.parametrize(
    "listed",
    [apko_lock, partial(syft_document, cyclonedx), partial(syft_document, own_json)],
    ids=["apko", "cyclonedx", "syft"],
)
def test_apk(alpine: AlpineWorld, tmp_path: Path, listed: Callable[[AlpineWorld], str]) -> None:
    """The list has digests of the parts of packages, and none of a whole file."""
    settings = alpine.configuration(tmp_path / "snapproxy")
    file = tmp_path / "list"
    file.write_text(listed(alpine))
    found = prefetch(settings, "--from", str(file), "--at", ALPINE_FIRST)
    assert {each["finding"] for each in found["entries"]} == {"resolved by identity"}
    carry(settings)
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        client = apk_in(tmp_path / "offline", alpine.keys)
        client.repositories(f"http://{ALPINE_HOST}/alpine/{ALPINE_MAIN}")
        proxy = at.proxy(ALPINE_FIRST, NAME)
        client.update(proxy=proxy)
        names = [each.name for each in alpine.first]
        client.add(*names, proxy=proxy)
        assert all(client.read(name) for name in names)
