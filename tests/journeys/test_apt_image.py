"""An image with apt's packages and package lists, from which real apt installs by name without network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.forms import DEBIAN, sources
from tests.fakes.layouts import unpacked
from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey

BUILD = ("apt-get", "install", "--download-only", "-y", "xz-utils")


def test_apt_installs_by_name_from_the_image_alone(
    world: World, tmp_path: Path, apt_root: Callable[[str], AptRoot]
) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    first, second = (sources(apt_root(name), world, DEBIAN) for name in ("recorded", "image"))
    with Snapproxy(settings) as proxy:
        for arguments in (("apt-get", "update"), BUILD):
            done = first.run(*arguments, extra={"http_proxy": proxy.proxy(FIRST, "build")})
            assert done.code == 0, done.text
    target = tmp_path / "image.tar"
    options = ("--as-image", "--arch", "amd64", "--config", str(settings))
    assert "install by name" in run("export", "build", f"oci-archive:{tmp_path}/packages.tar", *options).stderr
    files = ("--repo-file", str(first.folder / "etc/apt/sources.list"))
    exported = run("export", "build", f"oci-archive:{target}", *options, *files)
    assert exported.returncode == 0, exported.stderr
    assert "install by name" not in exported.stderr
    layer = unpacked(target, tmp_path / "unpacked")
    shutil.copytree(layer, second.folder, dirs_exist_ok=True)
    with without_routes():
        done = second.run(*BUILD)
    assert done.code == 0, done.text
    assert second.fetched() == first.fetched()
    assert second.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}
