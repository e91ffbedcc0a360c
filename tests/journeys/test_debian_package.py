"""The Debian package: built, checked by lintian, installed without network in fresh roots, started, and purged."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import generate_manuals
from snapproxy import __version__
from tests.fakes import genuine
from tests.fakes.bootstrap import tool

pytestmark = [
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="a root for chroot can only be made by root"),
]

REPOSITORY = Path(__file__).parents[2]
RELEASES = {"bookworm": "3.11", "trixie": "3.13"}
"""The Python version of each release that the package supports."""

DEPENDENCIES = "ca-certificates,gpgv,passwd,python3,systemd"
EXTENSIONS = "aiohttp._http_parser, cryptography.hazmat.bindings._rust, uvloop.loop, yaml._yaml, zstandard.backend_c"

#: Files that dpkg, apt, useradd and systemd change at every installation of any package.
VOLATILE = ("/var/lib/dpkg/", "/var/log/", "/var/cache/ldconfig/", "/var/cache/debconf/", "/tmp/", "/proc/")
BACKUPS = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from a copy of the files that git does not ignore. The wheels are downloaded once and kept."""
    source = tmp_path_factory.mktemp("deb") / "source"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, source / name)
    generate_manuals.write(source / "build")
    environment = {**os.environ, "WHEELS": str(genuine.cache_root() / "wheels"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["dpkg-buildpackage", "-us", "-uc", "-b"],
        cwd=source, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return source.parent / f"snapproxy_{__version__}_amd64.deb"


def test_lintian_finds_no_error(package: Path) -> None:
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error", str(package)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_it_has_units_user_folders_pages_and_completions(package: Path) -> None:
    listed = {line.split(maxsplit=5)[5].removeprefix(".") for line in tool("dpkg-deb", "-c", str(package)).splitlines()}
    assert listed >= {
        "/etc/default/snapproxy",
        "/usr/bin/snapproxy",
        "/usr/lib/systemd/system/snapproxy.service",
        "/usr/lib/systemd/system/snapproxy.socket",
        "/usr/lib/sysusers.d/snapproxy.conf",
        "/usr/lib/tmpfiles.d/snapproxy.conf",
        "/usr/share/bash-completion/completions/snapproxy",
        "/usr/share/doc/snapproxy/examples/config.toml",
        "/usr/share/fish/vendor_completions.d/snapproxy.fish",
        "/usr/share/man/man1/snapproxy-capture.1.gz",
        "/usr/share/man/man1/snapproxy.1.gz",
        "/usr/share/zsh/vendor-completions/_snapproxy",
    }
    assert not any(name.startswith(("/lib/", "/opt/", "/usr/local/")) for name in listed)


def test_an_upgrade_restarts_the_service_and_neither_the_socket_nor_the_work_of_timers(
    package: Path, tmp_path: Path
) -> None:
    tool("dpkg-deb", "--control", str(package), str(tmp_path))
    scripts = "".join((tmp_path / name).read_text(encoding="utf-8") for name in ("postinst", "prerm"))
    invoked = re.findall(r"deb-systemd-invoke (\S+) (.*?) >", scripts)
    assert ("$_dh_action", "'snapproxy.service'") in invoked, "restart at an upgrade"
    socket_started = invoked.index(("start", "'snapproxy.socket'"))
    assert socket_started < invoked.index(("$_dh_action", "'snapproxy.service'")), "else the service listens itself"
    work = {f"'{unit.name}'" for unit in (REPOSITORY / "systemd").glob("snapproxy-*.service")}
    assert not work & {unit for _, units in invoked for unit in units.split()}
    timers = {f"'{unit.name}'" for unit in (REPOSITORY / "systemd").glob("*.timer")}
    assert timers <= {unit for action, units in invoked if action == "start" for unit in units.split()}


@pytest.fixture(params=sorted(RELEASES))
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A fresh root of a release with the dependencies of the package alone."""
    release, target = request.param, tmp_path / "root"
    base = genuine.main_suite().base
    tool("mmdebstrap", "--variant=apt", f"--include={DEPENDENCIES}", release, str(target), f"deb {base} {release} main")
    yield release, target
    shutil.rmtree(target)


def within(target: Path, *command: str) -> str:
    """Run a command in the root, without any network."""
    return tool("unshare", "--net", *chrooted(target), *command)


def chrooted(target: Path) -> tuple[str, ...]:
    """Return the beginning of a command in the root with a /proc, which is mounted for that command alone."""
    return ("unshare", "--mount", "sh", "-c", 'mount --bind /proc "$0/proc" && exec chroot "$0" "$@"', str(target))


def tree(target: Path) -> set[str]:
    """Return every name in the root."""
    found = set()
    for folder, folders, files in os.walk(target):
        if Path(folder) == target:
            folders.remove("proc")
        found |= {f"/{Path(folder, name).relative_to(target)}" for name in (*folders, *files)}
    return {name for name in found if not name.startswith(VOLATILE) and name not in BACKUPS}


def test_installed_started_and_purged_without_a_trace(package: Path, system: tuple[str, Path]) -> None:
    release, target = system
    before, users = tree(target), (target / "etc/passwd").read_text(encoding="utf-8")
    shutil.copy(package, target / "tmp")
    within(target, "dpkg", "--install", f"/tmp/{package.name}")
    assert within(target, "snapproxy", "--version") == f"snapproxy {__version__}\n"
    assert within(target, "/usr/lib/snapproxy/bin/python3", "-I", "-c", f"import {EXTENSIONS}") == ""
    compiled = list((target / "usr/lib/snapproxy/lib/common/snapproxy/__pycache__").iterdir())
    assert all(f"cpython-{RELEASES[release].replace('.', '')}" in each.name for each in compiled)
    assert compiled
    for unit in ("snapproxy.service", "snapproxy.socket"):
        assert within(target, "systemctl", "is-enabled", unit) == "enabled\n"
    served(target)
    within(target, "dpkg", "--install", f"/tmp/{package.name}")  # an upgrade
    within(target, "dpkg", "--remove", "snapproxy")
    assert list((target / "var/lib/snapproxy").iterdir()), "`remove` keeps the stored files"
    within(target, "dpkg", "--purge", "snapproxy")
    assert tree(target) == before
    assert (target / "etc/passwd").read_text(encoding="utf-8") == users


def served(target: Path) -> None:
    """Start the service's command as its user, as the unit does, and ask whether it is alive."""
    unit = (target / "usr/lib/systemd/system/snapproxy.service").read_text(encoding="utf-8")
    (start,) = (line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart="))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *chrooted(target), "setpriv", "--reuid=snapproxy", "--regid=snapproxy", "--clear-groups",
            "--no-new-privs", "--bounding-set=-all", "env", "-i", "PATH=/usr/bin:/bin",
            "STATE_DIRECTORY=/var/lib/snapproxy", "CACHE_DIRECTORY=/var/cache/snapproxy",
            *start.split(), "--listen", f"127.0.0.1:{port}",
        ]
    )  # fmt: skip
    try:
        assert alive(process, port) == b"ok\n"
        assert (target / "var/lib/snapproxy").stat().st_mode & 0o777 == 0o700
        assert (target / "var/lib/snapproxy").stat().st_uid != 0
    finally:
        process.terminate()
        assert process.wait(30) == 0


def alive(process: subprocess.Popen[bytes], port: int) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
