"""auto-apt-proxy, in the versions of three Debian releases, finds snapproxy on a local network."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.fakes import genuine
from tests.fakes.proxy import command, environment

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "examples/avahi-snapproxy.service"
ADDRESS = "http://10.98.7.6:3142"
PROGRAMS = ("avahi-daemon", "avahi-browse", "dbus-daemon", "ip")

pytestmark = pytest.mark.journey


def test_both_service_names_are_announced() -> None:
    """auto-apt-proxy 18 prefers the name that RFC 6335 allows, older clients know only the other one."""
    group = ET.fromstring(SERVICE.read_text(encoding="utf-8"))
    announced = {(each.findtext("type"), each.findtext("port")) for each in group.iter("service")}
    assert announced == {("_apt-proxy._tcp", "3142"), ("_apt_proxy._tcp", "3142")}


def auto_apt_proxy(release: str, folder: Path) -> Path:
    """Return the program of a release, from its genuine package."""
    suite = replace(genuine.main_suite(), name=release)
    (stanza, *_) = genuine.index(suite)["auto-apt-proxy"]
    (content,) = genuine.binary(suite, stanza).files.values()
    subprocess.run(["dpkg-deb", "-x", str(content.source), str(folder / release)], check=True)
    return folder / release / "usr/bin/auto-apt-proxy"


def found_on_the_network(folder: Path, *programs: Path, settings: str = "") -> list[str]:
    """Return what each program prints on a machine beside the one that runs snapproxy."""
    configuration = folder / "config.toml"
    configuration.write_text(f'{settings}\nstate_dir = "{folder}/state"\ncache_dir = "{folder}/cache"\n')
    script = "; ".join(
        f"mkdir {folder}/{at}; echo {at} $(TMPDIR={folder}/{at} sh {program})" for at, program in enumerate(programs)
    )
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", str(ROOT / "tests/fakes/local_network.sh"), str(folder),
         str(configuration), str(SERVICE), "sh", "-c", script],
        env=environment({"SNAPPROXY": shlex.join(command()), "AUTO_APT_PROXY_NO_WAIT_ONLINE": "1"}),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.partition(" ")[2] for line in done.stdout.splitlines()]


needs_a_network = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network"),
    pytest.mark.skipif(any(shutil.which(each) is None for each in PROGRAMS), reason="avahi is not installed"),
]


class TestOnALocalNetwork:
    pytestmark = needs_a_network

    def test_every_version_finds_it(self, tmp_path: Path) -> None:
        """Version 14 asks the default gateway; 16 and 18 browse, the latter for the other service name."""
        programs = [auto_apt_proxy(release, tmp_path) for release in ("bookworm", "trixie", "sid")]
        assert found_on_the_network(tmp_path, *programs, settings='default_when = "live"') == [ADDRESS] * 3

    def test_without_a_default_time_the_gateway_is_not_taken_for_a_cache(self, tmp_path: Path) -> None:
        """Every machine that used it would get a 407. An announcement would be the operator's own decision."""
        assert found_on_the_network(tmp_path, auto_apt_proxy("bookworm", tmp_path)) == [""]
