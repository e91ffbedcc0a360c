"""A real apt and a real pacman, bisected over 64 snapshots to a package that starts to fail."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snapproxy.client_config.apt_mixture import AptMixture
from tests.fakes import proxy as snapproxy_process
from tests.fakes.apt_root import AptRoot
from tests.fakes.content import epoch
from tests.fakes.forms import DEBIAN
from tests.fakes.many_snapshots import LAST_PLACE, SUITE, AptHistory, ArchHistory, history
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.proxy import Snapproxy

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]
MakeRoot = Callable[[str], AptRoot]

APT = """\
set -e
rm -rf "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/cache/apt/archives/*.deb "$ROOT"/unpacked
apt-get -q update
apt-get -q install --download-only -y tool
echo run >> "$ROOT/runs"
for deb in "$ROOT"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$deb" "$ROOT/unpacked"; done
sh "$ROOT/unpacked/usr/bin/tool"
"""

KILLED = 'if [ "$(wc -l < "$ROOT/runs")" = 3 ]; then kill -KILL $PPID; exit 1; fi; sh '
"""Kills snapproxy, the parent of the command, during the third run."""

PACMAN = """\
set -e
$PACMAN -Syuu tool helper
echo run >> "$ROOT/runs"
sh "$ROOT/root/usr/bin/tool"
"""


def apt_root(world: AptHistory, root: AptRoot) -> AptRoot:
    root.sources(f"deb [signed-by={root.keyring(world.key.keyring)}] {DEBIAN} {SUITE} main")
    return root


def bisected(settings: Path, good: str, bad: str, *options: str, script: str, extra: dict[str, str]) -> Any:
    done = snapproxy_process.run(
        "bisect", "--config", str(settings), "--good", good, "--bad", bad, *options, "--json", "--", "sh", "-c", script,
        extra=extra, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def runs(root: Path) -> int:
    return len((root / "runs").read_text().splitlines())


def test_apt_finds_the_snapshot_and_the_package(tmp_path: Path) -> None:
    with AptHistory(tmp_path / "world", history(37)) as world:
        root = apt_root(world, AptRoot(tmp_path / "root"))
        extra = {**root.environment(), "ROOT": str(root.folder)}
        settings = world.configuration(tmp_path / "snapproxy")
        found = bisected(settings, world.at(0), world.at(LAST_PLACE), "--archive", "debian", script=APT, extra=extra)
    assert found["bad"] == {"at": world.at(37), "snapshots": {"debian": world.at(37)}}
    assert found["good"]["snapshots"] == {"debian": world.at(36)}
    assert found["cause"] == ["tool"]
    used, other = found["packages"]
    assert (used["name"], used["before"], used["after"], used["used"]) == ("tool", ["1.1-1"], ["2.0-1"], True)
    assert (other["name"], other["used"]) == ("noise", False)
    assert runs(root.folder) == found["runs"] <= 7


@pytest.mark.long
def test_pacman_finds_the_snapshot_and_the_package(tmp_path: Path) -> None:
    world = ArchHistory(tmp_path / "world", history(23))
    root = PacmanRoot(tmp_path / "root", world.key)
    try:
        root.server("http://mirror.example.invalid/pub/archlinux/$repo/os/$arch")
        extra = {"PACMAN": " ".join(root.command()), "ROOT": str(root.folder)}
        settings = world.configuration(tmp_path / "snapproxy")
        found = bisected(
            settings, world.evening(0), world.evening(LAST_PLACE), "--archive", "archlinux", script=PACMAN, extra=extra
        )
    finally:
        root.close()
        world.close()
    assert found["bad"]["snapshots"] == {"archlinux": world.day(23)}
    assert found["good"]["snapshots"] == {"archlinux": world.day(22)}
    assert found["cause"] == ["tool"]
    assert runs(root.folder) == found["runs"] <= 7


def test_a_killed_search_continues_with_the_next_run(tmp_path: Path) -> None:
    """The process is killed during its third run; the runs before it are not repeated."""
    with AptHistory(tmp_path / "world", history(37)) as world:
        root = apt_root(world, AptRoot(tmp_path / "root"))
        extra = {**root.environment(), "ROOT": str(root.folder)}
        log = tmp_path / "bisect.log"
        arguments = (
            "bisect", "--config", str(world.configuration(tmp_path / "snapproxy")), "--good", world.at(0),
            "--bad", world.at(LAST_PLACE), "--archive", "debian", "--log", str(log), "--json", "--", "sh", "-c",
            APT.replace("sh ", KILLED, 1),
        )  # fmt: skip
        killed = snapproxy_process.run(*arguments, extra=extra)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert runs(root.folder) == 3
        logged = log.read_bytes()
        assert logged.count(b"\n") == 3, "the question and two results"
        done = snapproxy_process.run(*arguments, extra=extra)
        assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["bad"]["at"], found["cause"]) == (world.at(37), ["tool"])
    assert log.read_bytes().startswith(logged)
    assert runs(root.folder) == 3 + found["runs"] <= 7, "the third run is the only one that was repeated"


def test_apt_finds_the_package_among_several_that_changed_together(tmp_path: Path) -> None:
    """Three packages of one snapshot are tested apart with the real apt: each from the snapshot that the test needs."""
    with AptHistory(tmp_path / "world", history(37, "helper", "library")) as world:
        root = apt_root(world, AptRoot(tmp_path / "root"))
        extra = {**root.environment(), "ROOT": str(root.folder)}
        settings, log = world.configuration(tmp_path / "snapproxy"), tmp_path / "bisect.log"
        ends = world.at(0), world.at(LAST_PLACE)
        options = ("--archive", "debian", "--log", str(log))
        found = bisected(settings, *ends, *options, script=APT, extra=extra)
        before = runs(root.folder)
        again = bisected(settings, *ends, *options, script=APT, extra=extra)
    assert [each["name"] for each in found["packages"] if each["used"]] == ["helper", "library", "tool"]
    assert (found["cause"], found["suspects"], found["note"]) == (["tool"], ["tool"], "")
    assert found["mixtures"] <= 3
    assert before == found["runs"] + found["mixtures"]
    assert runs(root.folder) == before, "the log has the results of the mixtures too"
    assert again == {**found, "runs": 0, "mixtures": 0}


def test_packages_that_need_each_others_version_are_suspects(tmp_path: Path) -> None:
    """apt refuses the mixture, which is no verdict: a failed installation does not show that the package is broken."""
    with AptHistory(tmp_path / "world", history(37, "helper", needs="helper (= 2.0-1)")) as world:
        root = apt_root(world, AptRoot(tmp_path / "root"))
        extra = {**root.environment(), "ROOT": str(root.folder)}
        settings = world.configuration(tmp_path / "snapproxy")
        found = bisected(settings, world.at(35), world.at(38), "--archive", "debian", script=APT, extra=extra)
    assert found["bad"]["at"] == world.at(37)
    assert (found["cause"], found["suspects"]) == ([], ["tool"])
    assert "could not be tested without the others" in found["note"]


@pytest.mark.long
def test_apt_3_reads_the_second_source_too(tmp_path: Path, apt3: AptRoot) -> None:
    """Its solver differs from apt 2's. The additions are written as files, because it runs in a chroot."""
    with AptHistory(tmp_path / "world", history(37, "helper")) as world:
        apt_root(world, apt3)
        files = ("debian", f"dists/{SUITE}/InRelease"), ("debian", f"dists/{SUITE}/main/binary-amd64/Packages.xz")
        mixture = AptMixture(epoch(world.at(37)), files, {"tool": "2.0-1"})
        with Snapproxy(world.configuration(tmp_path / "snapproxy")) as proxy:
            apt3.configure(f'Acquire::http::Proxy "{proxy.proxy(world.at(36))}";', 'APT::Update::Error-Mode "any";')
            additions = mixture.additions(proxy.url)
            (apt3.folder / "etc/apt/sources.list.d/zz-snapproxy.list").write_text(additions.sources)
            (apt3.folder / "etc/apt/preferences.d/00-snapproxy").write_text(additions.preferences)
            updated = apt3.update()
            assert updated.code == 0, updated.text
            downloaded = apt3.download("tool")
    assert downloaded.code == 0, downloaded.text
    assert set(apt3.fetched()) == {
        "tool_2.0-1_amd64.deb", "helper_1.1-1_amd64.deb", "library_1.0-1_amd64.deb",
    }  # fmt: skip
