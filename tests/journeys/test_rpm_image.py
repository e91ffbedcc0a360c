"""A build with the real dnf 4 is recorded and exported as an image of its cache.

It is then repeated from the image alone, without network.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from snapproxy.core.client_cache import ClientSettings
from snapproxy.families import REPOSITORY_CACHES
from tests.fakes.layouts import unpacked
from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.rpm_root import RELEASE, DnfRoot, installed
from tests.fakes.rpm_world import ARCHIVE, HOST, VERSIONS, RpmWorld, file_name
from tests.fakes.world import FIRST

pytestmark = pytest.mark.journey

# The settings that determine the folders, in the notations of yum.conf(5) and of files in use.
WAYS = """
[main]
keepcache=1
[plain]
baseurl=http://download.example/linux/40/x86_64
[variables]
baseurl=http://download.example/linux/${releasever}/$basearch/
[list]
baseurl = http://one.example/a b, http://two.example/c
[lines]
baseurl=http://one.example/a
  http://two.example/c
[mirrors]
baseurl=http://one.example/a
mirrorlist=http://lists.example/?repo=fedora-$releasever
[metalink:4.0_x]
metalink=https://lists.example/metalink?repo=updates-f$releasever&arch=$basearch
mirrorlist=http://lists.example/
baseurl=http://one.example/a
[off]
enabled=0
baseurl=http://one.example/a
"""
_FOLDERS = """
import sys, dnf
base = dnf.Base()
base.conf.reposdir, base.conf.varsdir, base.conf.cachedir = [sys.argv[1]], [], "/var/cache/dnf"
base.conf.substitutions.update(releasever="40", basearch="x86_64")
base.read_all_repos()
for each in base.repos.iter_enabled():
    print(each._repo.getCachedir())
"""


def repository(world: RpmWorld, more: str = "") -> str:
    """Return a repository file without any mention of snapproxy that requires a signature check."""
    url = f"http://{HOST}/{ARCHIVE}/updates/$releasever/Everything/$basearch"
    return f"[t]\nname=t\nbaseurl={url}\ngpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://{world.public_key}\n{more}"


def exported(config: Path, files: Path, key: Path, target: Path, **surroundings: str) -> str:
    """Write the image of the capture `build`; return its digest."""
    told = (
        "--repo-file",
        str(files),
        "--var",
        f"releasever={RELEASE}",
        "--var",
        "basearch=x86_64",
        "--repo-key",
        str(key),
    )
    done = run(
        "export", "build", f"oci-archive:{target}:v1", "--as-image", "--arch", "amd64", *told, "--config", str(config),
        extra=surroundings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def digests(packages: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in packages.items()}


def test_dnf_installs_from_the_image_of_its_cache_alone(rpm_world: RpmWorld, tmp_path: Path) -> None:
    config = rpm_world.configuration(tmp_path / "snapproxy")
    root = DnfRoot(tmp_path / "recorded")
    root.repository(repository(rpm_world))
    with Snapproxy(config) as proxy:
        outcome = root.dnf("install", "hello", "steady", http_proxy=proxy.proxy(FIRST, "build"))
    assert outcome.code == 0, outcome.text
    files = root.folder / "repos" / "test.repo"
    one = exported(config, files, rpm_world.public_key, tmp_path / "one.tar")
    two = exported(config, files, rpm_world.key.keyring, tmp_path / "two.tar", TZ="Asia/Kathmandu", PYTHONHASHSEED="1")
    assert one == two, "armored or not, the key is the same"
    cache = unpacked(tmp_path / "one.tar", tmp_path / "image") / "var/cache/dnf"
    # Without --cacheonly dnf uses cached metadata until they expire: files in an image are dated SOURCE_DATE_EPOCH.
    for name, options, more in (("cacheonly", ("--cacheonly",), ""), ("kept", (), "metadata_expire=never\n")):
        again = DnfRoot(tmp_path / name)
        again.repository(repository(rpm_world, more))
        again.main("keepcache=1\n")
        shutil.copytree(cache, again.folder / "cache", dirs_exist_ok=True)
        packages = {
            file_name(each, version): rpm_world.package(FIRST, each).data for each, version in VERSIONS[FIRST].items()
        }
        assert digests(again.fetched()) == digests(packages)
        with without_routes():
            outcome = again.dnf(*options, "install", "hello", "steady")
        assert outcome.code == 0, outcome.text
        assert installed(again.root) == VERSIONS[FIRST]
        assert digests(again.fetched()) == digests(packages), "none was fetched, none thrown away"


def test_a_root_that_was_changed_in_the_image_is_not_believed(rpm_world: RpmWorld, tmp_path: Path) -> None:
    """dnf checks the root with the keyring in the image.

    Without the keyring there would be no check, or no installation.
    """
    config = rpm_world.configuration(tmp_path / "snapproxy")
    root = DnfRoot(tmp_path / "recorded")
    root.repository(repository(rpm_world))
    with Snapproxy(config) as proxy:
        outcome = root.dnf("install", "steady", http_proxy=proxy.proxy(FIRST, "build"))
    assert outcome.code == 0, outcome.text
    exported(config, root.folder / "repos/test.repo", rpm_world.public_key, tmp_path / "image.tar")
    again = DnfRoot(tmp_path / "again")
    again.repository(repository(rpm_world))
    cache = unpacked(tmp_path / "image.tar", tmp_path / "image") / "var/cache/dnf"
    (changed,) = cache.rglob("repomd.xml")
    changed.write_bytes(changed.read_bytes() + b"\n")
    shutil.copytree(cache, again.folder / "cache", dirs_exist_ok=True)
    with without_routes():
        assert again.dnf("--cacheonly", "install", "steady").code == 1
    assert installed(again.root) == {}


def test_folders_are_called_as_dnf_itself_calls_them(tmp_path: Path) -> None:
    (tmp_path / "ways.repo").write_text(WAYS)
    settings = ClientSettings({"ways.repo": WAYS}, {"releasever": "40", "basearch": "x86_64"})
    command = ["/usr/bin/python3", "-c", _FOLDERS, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    ours = [f"/{each.folder}" for each in REPOSITORY_CACHES["rpm"].repositories(settings)]
    assert ours == said.stdout.splitlines()
