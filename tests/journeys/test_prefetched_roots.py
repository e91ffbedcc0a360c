"""The lists of whole roots become captures, from which the same roots are built without network."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.fakes.bootstrap import mmdebstrap
from tests.fakes.mkosi import mkosi
from tests.fakes.no_route import without_routes
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.replaying import NAME, carry
from tests.fakes.world import FIRST, RootWorld

pytestmark = [
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
]
MIRROR = "http://ftp.debian.org/debian"


def installed(root: Path) -> list[str]:
    """Return name, architecture and version of every installed package."""
    query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Architecture} ${Version}\n"]
    return subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def recorded(settings: Path, world: RootWorld, listed: Path) -> str:
    """Prefetch a list, reduce the state to the carried capture, and return the time that the list needs."""
    selection = ("debian", "--from", str(listed), "--suite", world.codename, "--capture", NAME)
    done = run("prefetch", *selection, "--json", "--config", str(settings), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (time,) = {each["time"] for each in json.loads(done.stdout)["times"]}
    carry(settings)
    return str(time)


def test_the_status_of_mmdebstrap(root_world: RootWorld, built: Path, tmp_path: Path) -> None:
    """The resolver finds the time of the root; mmdebstrap builds the same root offline, by name and version."""
    settings = configuration(tmp_path / "snapproxy", root_world)
    with Snapproxy(settings, name="online") as at:
        mmdebstrap(root_world, built / "online", MIRROR, http_proxy=at.proxy(FIRST))
    time = recorded(settings, root_world, built / "online/var/lib/dpkg/status")
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        mmdebstrap(root_world, built / "offline", MIRROR, http_proxy=at.proxy(time, NAME))
    assert installed(built / "offline") == installed(built / "online")


def test_the_manifest_of_mkosi(root_world: RootWorld, built: Path, tmp_path: Path) -> None:
    """mkosi's manifest has names, versions and architectures. The packages of its image install offline."""
    settings = configuration(tmp_path / "snapproxy", root_world)
    for name in ("packages", "work"):
        (built / name).mkdir()
    with Snapproxy(settings, name="online") as at:
        (built / "mkosi.conf").write_text(
            f"[Distribution]\nDistribution=debian\nRelease={root_world.codename}\nSnapshot={FIRST}\nMirror={at.url}\n"
            "RepositoryKeyCheck=no\n[Output]\nFormat=directory\nManifestFormat=json\n[Content]\nBootable=no\n"
            f"CleanPackageMetadata=no\n[Build]\nBuildSources=\nPackageCacheDirectory={built}/packages\n"
            f"WorkspaceDirectory={built}/work\n"
        )
        outcome = mkosi(built, "build")
        assert outcome.code == 0, outcome.text
    image = installed(built / "image")
    time = recorded(settings, root_world, built / "image.manifest")
    names = [line.partition(" ")[0] for line in image]
    with without_routes(), Snapproxy(settings, options=["--offline"], name="offline") as at:
        options = [f"--include={','.join(names)}"]
        mmdebstrap(root_world, built / "offline", MIRROR, *options, variant="custom", http_proxy=at.proxy(time, NAME))
    assert installed(built / "offline") == image
