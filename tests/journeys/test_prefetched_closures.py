"""Closures that are prefetched by name, carried to a host without network, and installed there by the real client."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.replaying import NAME, carry, digests
from tests.fakes.world import FIRST, SECOND, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
]


def prefetch(settings: Path, *arguments: str) -> str:
    done = run("prefetch", *arguments, "--config", str(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def apt_root(world: World, folder: Path, at: Snapproxy, when: str) -> AptRoot:
    root = AptRoot(folder)
    root.configure('Acquire::Languages { "en"; };', f'Acquire::http::Proxy "{at.proxy(when, NAME)}";')
    key = root.keyring(world.key.keyring)
    root.sources(f"deb [signed-by={key}] http://ftp.debian.org/debian {world.codename} main")
    return root


@pytest.mark.parametrize("when", [FIRST, SECOND])
def test_apt(world: World, tmp_path: Path, when: str) -> None:
    """The files are those that apt-get itself downloads at that time, and its own update works offline."""
    settings = configuration(tmp_path / "snapproxy", world)
    with Snapproxy(settings) as at:
        wanted = apt_root(world, tmp_path / "wanted", at, when)
        wanted.configure(f'Acquire::http::Proxy "{at.proxy(when)}";')
        assert wanted.update().code == 0
        assert wanted.download("xz-utils").code == 0
    selection = ("debian", "--at", when, "--suite", world.codename, "--arch", "amd64", "--no-recommends")
    out = prefetch(settings, *selection, "xz-utils", "--capture", NAME, "--json")
    found = json.loads(out)
    packages = {each["digest"].removeprefix("sha256:") for each in found["files"] if each["path"].endswith(".deb")}
    assert packages == set(digests(wanted.fetched()).values())
    assert "solver internal" in found["solver"]
    carry(settings)
    assert json.loads(run("lock", NAME, "--config", str(settings)).stdout)["solvers"] == [found["solver"]]
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        root = apt_root(world, tmp_path / "offline", at, when)
        assert root.update().code == 0
        assert root.download("xz-utils").code == 0
        assert digests(root.fetched()) == digests(wanted.fetched())
