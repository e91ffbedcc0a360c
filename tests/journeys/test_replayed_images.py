"""A root and an image built online are built again from the capture without network, equal byte for byte."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.fakes.bootstrap import EPOCH, Buildah, mmdebstrap
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.replaying import NAME, Digests, online_and_offline
from tests.fakes.world import FIRST, RootWorld

pytestmark = [
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "Dockerfile.debian"
DEBIAN = "http://ftp.debian.org/debian"
DOCKERFILE = """\
FROM localhost/debian
RUN apt-get update \\
 && apt-get install -y --no-install-recommends e2fsprogs \\
 && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/aux-cache
RUN apt-get update && apt-get install -y --no-install-recommends mount && rm -rf /var/lib/apt/lists/* /var/log/*
"""
DOCKER_CLEAN = """\
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
Acquire::Check-Valid-Until "false";
"""
"""The apt.conf.d of Debian's own images, except for the last line: the world's roots are of another year."""


def test_mmdebstrap(root_world: RootWorld, tmp_path: Path, built: Path) -> None:
    def build(at: Snapproxy, folder: Path) -> Digests:
        folder.mkdir()
        root = folder / "root.tar"
        mmdebstrap(root_world, root, DEBIAN, http_proxy=at.proxy(FIRST, NAME), SOURCE_DATE_EPOCH=EPOCH)
        return {root.name: hashlib.sha256(root.read_bytes()).hexdigest()}

    online, offline = online_and_offline(configuration(tmp_path / "snapproxy", root_world), build, built)
    assert offline == online


def test_buildah(root_world: RootWorld, tmp_path: Path, built: Path) -> None:
    """The Dockerfile does not mention snapproxy, and the base image has Debian's own address in its sources."""
    settings = configuration(tmp_path / "snapproxy", root_world)
    base = base_image(root_world, settings, built)
    dockerfile = built / "Dockerfile"
    dockerfile.write_text(DOCKERFILE)

    def build(at: Snapproxy, folder: Path) -> Digests:
        buildah = Buildah(folder)
        buildah.base(base, "localhost/debian")
        layers = buildah.build(dockerfile, http_proxy=at.proxy(FIRST, NAME))
        return dict(zip(("base", "first", "second"), layers, strict=True))

    online, offline = online_and_offline(settings, build, built)
    assert offline == online


def test_the_example_dockerfile_of_debian(root_world: RootWorld, tmp_path: Path, built: Path) -> None:
    """The base image, the package and the time are replaced by the simulated archive's; the rest is the example's."""
    settings = configuration(tmp_path / "snapproxy", root_world)
    dockerfile = built / "Dockerfile"
    text = EXAMPLE.read_text()
    for old, new in {"debian:bookworm-slim": "localhost/debian", "ca-certificates": "mount"}.items():
        assert old in text
        text = text.replace(old, new)
    dockerfile.write_text(text)
    base = base_image(root_world, settings, built)
    buildah = Buildah(built / "images")
    buildah.base(base, "localhost/debian")
    with Snapproxy(settings) as at:
        layers = buildah.build(dockerfile, SNAPPROXY=at.url.removeprefix("http://"), SNAPSHOT=FIRST)
    assert len(layers) == 2


def base_image(world: RootWorld, settings: Path, folder: Path) -> Path:
    """Make a root with apt that trusts the world's key, as Debian's images trust Debian's; return its tar."""
    conf, base = folder / "docker-clean", folder / "base.tar"
    conf.write_text(DOCKER_CLEAN)
    copied = {world.key.keyring: "trusted.gpg.d", conf: "apt.conf.d"}
    hooks = [f"--customize-hook=copy-in {file} /etc/apt/{target}" for file, target in copied.items()]
    with Snapproxy(settings, name="base") as at:
        mmdebstrap(world, base, DEBIAN, *hooks, variant="apt", http_proxy=at.proxy(FIRST))
    return base
