"""The Containerfile gives one image at any time, and its service answers as the native one does."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes import genuine
from tests.fakes.bootstrap import EPOCH, Buildah, mmdebstrap
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah's chroot isolation takes root"),
]

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "Containerfile"
DEBIAN = "http://ftp.debian.org/debian"
USER = 65532


@pytest.fixture(scope="module")
def image_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A minimal root, and the packages that the Containerfile installs."""
    text = CONTAINERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    installed = re.findall(r"install --yes --no-install-recommends ([a-z0-9 -]+)", text)
    wanted = {name for names in installed for name in names.split()}
    assert {"python3-venv", "python3", "gpgv"} <= wanted
    world = World(tmp_path_factory.mktemp("image-world"), *genuine.minimal(genuine.main_suite()), *sorted(wanted))
    yield world
    world.close()
    assert not world.errors()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of the dependencies, from the machine's index of packages."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--dest={folder}"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    subprocess.run([*pip, *needed], check=True)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for images, which take gigabytes and are deleted afterwards."""
    path = tmp_path / "images"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def test_two_builds_have_one_digest_and_the_service_answers(
    image_world: World, wheels: Path, tmp_path: Path, folder: Path
) -> None:
    """The base image comes from a local root, and apt sees the archive at one time through snapproxy."""
    settings = configuration(tmp_path / "snapproxy", image_world)
    base = folder / "base.tar"
    with Snapproxy(settings) as at:
        keyring = f"--customize-hook=copy-in {image_world.key.keyring} /etc/apt/trusted.gpg.d"
        mmdebstrap(image_world, base, DEBIAN, keyring, variant="apt", http_proxy=at.proxy(FIRST))
        builds = [Buildah(folder / name) for name in ("one", "two")]
        for build in builds:
            build.base(base, "localhost/debian")
            build.build(
                CONTAINERFILE,
                context=ROOT,
                volume=f"{wheels}:/wheels:ro",
                BASE="localhost/debian",
                APT_OPTIONS="-o Acquire::Check-Valid-Until=false",
                PIP_NO_INDEX="1",
                PIP_FIND_LINKS="/wheels",
                SOURCE_DATE_EPOCH=EPOCH,
                http_proxy=at.proxy(FIRST),
            )
            time.sleep(1)  # another second for everything that records the present
    with builds[0].mounted() as one, builds[1].mounted() as two:
        assert different(one, two) == []
    assert len({build.manifest() for build in builds}) == 1
    with builds[0].mounted() as root:
        assert sorted(path.relative_to(root).as_posix() for path in (root / "opt/snapproxy/lib").rglob("pip")) == []
        check_service(root, settings, image_world, tmp_path)


def different(one: Path, two: Path) -> list[str]:
    """Return a line for each file that differs between two roots. Device files are reported as incomparable."""
    command = ["diff", "--recursive", "--brief", "--no-dereference", one, two]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line for line in lines if not line.endswith("is a character special file")]


def check_service(root: Path, settings: Path, world: World, folder: Path) -> None:
    """Compare the answers of the image's service with those of the native one."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    mine = re.sub(r"^(state|cache)_dir = .*$", "", settings.read_text(), flags=re.MULTILINE)
    mine = mine.replace(str(world.key.keyring), "/data/key.gpg")
    (data / "config.toml").write_text(mine)
    shutil.copy(world.key.keyring, data / "key.gpg")
    subprocess.run(["chown", "--recursive", f"{USER}:{USER}", data], check=True)
    with in_container(root, data) as port, Snapproxy(settings, name="native") as native:
        path = f"/debian/{FIRST}/dists/{world.codename}/InRelease"
        for each in (path, f"/debian/{FIRST}/dists/{world.codename}/main/binary-amd64/Packages.xz", "/debian/never/x"):
            assert answer(port, each) == answer(native.port, each)
        assert answer(port, path)[1]["X-Snapproxy-Verified"] == "gpg"


def answer(port: int, path: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and the digest of the body, without what names the process or the present."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        reply = opener.open(f"http://127.0.0.1:{port}{path}", timeout=60)
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        own = {"Date", "Via", "X-Cache", "X-Request-ID"}
        fields = {name: value for name, value in reply.headers.items() if name not in own}
        return reply.status, fields, hashlib.sha256(reply.read()).hexdigest()


@contextmanager
def in_container(root: Path, data: Path) -> Iterator[int]:
    """Run the image's command as its user in its read-only root, with a folder as /data, and yield the port."""
    instructions = dict(
        line.split(None, 1)
        for line in CONTAINERFILE.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        if line and not line.startswith("#")
    )
    environment = dict(pair.split("=", 1) for pair in shlex.split(instructions["ENV"]))
    environment["PATH"] = "/opt/snapproxy/bin:/usr/bin:/bin"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environment |= {"SNAPPROXY_LISTEN": f"127.0.0.1:{port}", "SNAPPROXY_CONFIG": "/data/config.toml"}
    variables = [f"{name}={value}" for name, value in environment.items()]
    script = (
        'mount --bind "$1" "$1" && mount --bind "$2" "$1/data" && mount -o remount,bind,ro "$1" '
        '&& mount -t proc proc "$1/proc" && root=$1 user=$3 && shift 3 '
        '&& exec chroot --userspec="$user" "$root" /usr/bin/env -i --chdir="$0" "$@"'
    )
    entry = json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"])
    folder = instructions["WORKDIR"]  # of the last stage
    command = ["unshare", "--mount", "sh", "-c", script, folder, str(root), str(data), instructions["USER"], *variables]
    process = subprocess.Popen([*command, *entry], stdin=subprocess.DEVNULL)
    try:
        health = json.loads(instructions["HEALTHCHECK"].partition("CMD ")[2])
        health[2] = health[2].replace("3142", str(port))
        deadline = time.monotonic() + 60
        while subprocess.run([sys.executable, *health[1:]], check=False, stderr=subprocess.DEVNULL).returncode:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
