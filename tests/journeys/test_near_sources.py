"""A real apt whose snapproxy has a nearby source that already has the bytes.

The source is another snapproxy, or a real registry behind a password.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.core.progress import SILENT
from snapproxy.oci.artifact import BlobContent, bytes_content
from snapproxy.oci.credentials import Keychain, Login
from snapproxy.oci.manifests import Descriptor, digest_of
from snapproxy.oci.places import read_reference
from snapproxy.oci.registry import open_repository
from snapproxy.oci.upload import upload
from tests.fakes.apt_root import AptRoot
from tests.fakes.debian_registry import PASSWORD, USER, DebianRegistry
from tests.fakes.forms import mirror_form
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey
MakeRoot = Callable[[str], AptRoot]


def beside(folder: Path, world: World, source: str) -> Path:
    """Write a configuration whose Debian archive has a source in addition to its own servers."""
    path = configuration(folder, world)
    path.write_text(path.read_text().replace("[archives.debian]\n", f'[archives.debian]\nsources = ["{source}"]\n'))
    return path


def installs(root: AptRoot) -> dict[str, bytes]:
    """Update and download the files of an installation; return apt's files, which apt has checked itself."""
    update = root.update()
    assert update.code == 0, update.text
    download = root.download("xz-utils")
    assert download.code == 0, download.text
    return root.fetched()


def asked_for_files(world: World) -> list[str]:
    """Return the requests to the archive's servers for files other than roots and times."""
    return [each.path for each in world.log.requests() if "/pool/" in each.path or "Packages" in each.path]


def test_another_snapproxy_gives_what_it_has_and_the_mirror_is_not_missed(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot, tmp_path: Path
) -> None:
    there = installs(mirror_form(apt_root("first"), world, snapproxy, FIRST))
    world.reset()
    with (
        Snapproxy(beside(tmp_path / "second", world, snapproxy.url)) as second,
        world.mirror.refusing(),
    ):
        here = installs(mirror_form(apt_root("second"), world, second, FIRST))
    assert here == there
    assert asked_for_files(world) == []


def test_a_build_goes_on_when_its_neighbour_is_gone(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot, tmp_path: Path
) -> None:
    snapproxy.stop()
    with Snapproxy(beside(tmp_path / "second", world, snapproxy.url)) as second:
        began = time.monotonic()
        assert installs(mirror_form(apt_root("second"), world, second, FIRST))
    assert time.monotonic() - began < 30
    assert asked_for_files(world)


def test_a_real_registry_behind_a_password_gives_the_packages(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A use case of reproducing official images: packages in an OCI registry, and the Dockerfile unchanged."""
    there = installs(mirror_form(apt_root("first"), world, snapproxy, FIRST))
    blobs = (snapproxy.configuration.parent / "state/blobs/sha256").rglob("*")
    stored = [path.read_bytes() for path in blobs if path.is_file()]
    (tmp_path / "registry").mkdir()
    with DebianRegistry(tmp_path / "registry", is_locked=True) as registry:
        repository = f"{registry.host}/team/packages"
        asyncio.run(fill(repository, stored))
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        world.reset()
        with Snapproxy(beside(tmp_path / "second", world, f"docker://{repository}")) as second:
            here = installs(mirror_form(apt_root("second"), world, second, FIRST))
    assert here == there
    assert asked_for_files(world) == []


async def fill(repository: str, contents: Iterable[bytes]) -> None:
    """Push blobs to a repository without a manifest that lists them."""
    clock = SystemClock()
    keychain = Keychain({}, clock=clock, login=Login(USER, PASSWORD))
    async with open_repository(read_reference(repository), keychain=keychain, clock=clock) as opened:
        for data in contents:
            await upload(opened, as_content(data), progress=SILENT)


def as_content(data: bytes) -> BlobContent:
    return bytes_content(Descriptor("application/octet-stream", digest_of(data), len(data)), data)


def test_one_package_by_its_digest_and_nothing_but_http(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    packages = installs(mirror_form(apt_root("apt"), world, snapproxy, FIRST))
    for data in packages.values():
        url = f"{snapproxy.url}/v2/any/name/blobs/sha256:{hashlib.sha256(data).hexdigest()}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.read() == data
