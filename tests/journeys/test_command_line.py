"""The verbs around a real apt: `run`, `sources` for apt 3's --snapshot, and the snapshot service's own calls."""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.fakes import proxy as snapproxy_process
from tests.fakes.apt_root import AptRoot
from tests.fakes.content import Package
from tests.fakes.forms import DEBIAN, sources
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey
MakeRoot = Callable[[str], AptRoot]


def test_run_pins_one_command(world: World, tmp_path: Path, apt_root: MakeRoot) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    root = sources(apt_root("root"), world, DEBIAN)
    done = snapproxy_process.run(
        "run",
        "--at",
        FIRST,
        "--config",
        str(settings),
        "--",
        *root.command("apt-get", "update"),
        extra=root.environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert root.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}
    last = done.stderr.strip().splitlines()[-1]
    assert "files" in last
    assert "upstream" in last


def test_run_passes_failure_through(world: World, tmp_path: Path, apt_root: MakeRoot) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    root = sources(apt_root("root"), world, "http://packages.example.invalid/debian")
    done = snapproxy_process.run(
        "run",
        "--at",
        FIRST,
        "--config",
        str(settings),
        "--",
        *root.command("apt-get", "update"),
        extra=root.environment(),
    )
    assert done.returncode == 100, done.stdout + done.stderr
    assert "403" in done.stdout + done.stderr


def test_apt_3_goes_back_by_its_own_snapshot_option(world: World, snapproxy: Snapproxy, apt3: AptRoot) -> None:
    """The user writes the sources and the option; `snapproxy sources` prints the lines between.

    apt requests the live archive too (and shadows it); here that goes through snapproxy as well, in live mode.
    """
    arguments = (
        "sources",
        "debian",
        "--at",
        FIRST,
        "--form",
        "snapshot",
        "--suite",
        world.codename,
        "--base",
        snapproxy.url,
    )
    printed = snapproxy_process.run(*arguments)
    assert printed.returncode == 0, printed.stderr
    live = (f'Acquire::http::Proxy "{snapproxy.proxy("live")}";', 'Acquire::http::Proxy::127.0.0.1 "DIRECT";')
    apt3.configure(*(line for line in printed.stdout.splitlines() if not line.startswith("# ")), *live)
    sources(apt3, world, DEBIAN)
    outcome = apt3.update("--snapshot", FIRST)
    assert outcome.code == 0, outcome.text
    pinned = ("-o", f"APT::Snapshot={FIRST}")
    assert apt3.candidates("xz-utils", options=pinned) == {"xz-utils": world.first.versions["xz-utils"]}
    outcome = apt3.download("xz-utils", options=pinned)
    assert outcome.code == 0, outcome.text
    assert any(name.startswith("xz-utils_") for name in apt3.fetched())


def fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        return bytes(answer.read())


def the(world: World, name: str) -> Package:
    return next(
        each for each in world.first.debian.packages if each.name == name and each.is_source == (name == "hello")
    )


def test_a_source_package_as_debsnap_asks_for_it(world: World, snapproxy: Snapproxy) -> None:
    package = the(world, "hello")
    assert json.loads(fetch(f"{snapproxy.url}/mr/package/hello/"))["result"] == [{"version": package.version}]
    answer = json.loads(fetch(f"{snapproxy.url}/mr/package/hello/{quote(package.version)}/srcfiles?fileinfo=1"))
    files = {info["name"]: sha1 for sha1, (info, *_) in answer["fileinfo"].items()}
    assert sorted(files) == sorted(path.rpartition("/")[2] for path in package.files)
    for name, sha1 in files.items():
        assert (
            hashlib.sha1(fetch(f"{snapproxy.url}/file/{sha1}/{quote(name)}"), usedforsecurity=False).hexdigest() == sha1
        )


def test_a_binary_package_as_debrebuild_asks_for_it(world: World, snapproxy: Snapproxy) -> None:
    package = the(world, "xz-utils")
    base = f"{snapproxy.url}/mr/binary/xz-utils"
    versions = [row["binary_version"] for row in json.loads(fetch(f"{base}/"))["result"]]
    assert package.version in versions
    [row] = json.loads(fetch(f"{base}/{quote(package.version)}/binfiles"))["result"]
    info: Any = json.loads(fetch(f"{snapproxy.url}/mr/file/{row['hash']}/info"))["result"][0]
    assert f"{info['path'][1:]}/{info['name']}" == package.path


def test_curl_gets_a_file_by_its_sha1_once_and_again_without_upstream(
    world: World, snapproxy: Snapproxy, tmp_path: Path
) -> None:
    package = the(world, "xz-utils")
    content = package.files[package.path]
    for _ in range(2):
        target = tmp_path / "file"
        url = f"{snapproxy.url}/file/{content.sha1}"
        subprocess.run(["curl", "-sSf", "--noproxy", "*", "-o", str(target), url], check=True, timeout=60)
        assert target.read_bytes() == content.data
    assert len(world.snapshot.requests(f"/file/{content.sha1}")) <= 1


def test_the_timeline_is_passed_through(world: World, snapproxy: Snapproxy) -> None:
    answer = json.loads(fetch(f"{snapproxy.url}/mr/timestamp/?archive=debian&after={FIRST}"))
    assert answer["result"]["debian"] == [each for each in world.debian.ids if each >= FIRST]
