"""The requests of Arch's own tools to the archive.

They are those of downgrade, archlinux-repro's buildinfo and devtools' makerepropkg: shell scripts around curl, in no
package of Debian's. Their calls of curl, options included, are repeated here from downgrade (March 2026),
archlinux-repro (January 2025) and devtools 1.5.0; only the archive's address is changed, as their settings allow.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.arch import ArchWorld
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.proxy import Snapproxy

pytestmark = pytest.mark.journey
HTTP_ERROR = 22
"""curl's exit code with --fail, for every status from 400 on."""


def curl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["curl", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def listed(folder: Path, archive: str, name: str) -> list[str]:
    """Return the addresses that downgrade's `search_ala` extracts from the page of one package."""
    escaped = name.replace("+", "%2B")
    index = f"{archive}/packages/{escaped[0]}/{escaped}/"
    page = curl(folder, "--fail", "--silent", index).stdout
    file = rf"{re.escape(escaped)}-[^-]+-[0-9.]+-(?:any|x86_64)\.pkg\.tar\.(?:gz|xz|zst)"
    found = [match[1] for line in page.splitlines() if (match := re.match(rf'.* href="({file})".*', f" {line}"))]
    unescaped = [re.sub("%([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), each.replace("+", " ")) for each in found]
    return [f"{archive}/packages/{name[0]}/{name}/{each}" for each in unescaped]


def test_downgrade_finds_the_versions_and_installs_one(
    arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: Callable[[str], PacmanRoot], tmp_path: Path
) -> None:
    found = listed(tmp_path, arch_proxy.url, "dummy")
    assert found == [f"{arch_proxy.url}/packages/d/dummy/{package.file}" for package in (arch.old, arch.new)]
    kept = listed(tmp_path, arch_proxy.url, arch.kept.name)
    assert kept == [f"{arch_proxy.url}/packages/l/{arch.kept.name}/{arch.kept.file}"]
    root = make_pacman("root")
    outcome = root.run("-U", found[0], kept[0])
    assert outcome.code == 0, outcome.text
    assert root.run("-Q").text.splitlines()[-2:] == ["dummy 1.0-1", "libtest++ 2:2.4-1"]


def test_a_listing_is_today_s_and_asked_for_once(arch: ArchWorld, arch_proxy: Snapproxy, tmp_path: Path) -> None:
    """A listing only grows: in a pinned view too it is the archive's present one, and the answer states that."""
    pinned = ("--proxy", arch_proxy.proxy("20240604T000000Z"), f"{arch.archive.url}/packages/d/dummy/")
    for asked in ((f"{arch_proxy.url}/packages/d/dummy/",), pinned):
        answer = curl(tmp_path, "--fail", "--silent", "--include", *asked).stdout
        assert f'href="{arch.new.file}"' in answer
        assert "Content-Type: text/html" in answer
        assert "X-Snapproxy-Snapshot: archlinux/live\n" in answer
        assert "X-Snapproxy-Verified: none\n" in answer
        assert "X-Snapproxy-Note: current answer of the archive's service; not pinned to a snapshot\n" in answer
    assert len(arch.archive.requests("/packages/d/dummy/")) == 1
    assert f'href="{arch.old.file}.sig"' in curl(tmp_path, "--fail", f"{arch_proxy.url}/packages/.all/").stdout
    assert curl(tmp_path, "--fail", f"{arch_proxy.url}/packages/n/nothing/").returncode == HTTP_ERROR
    with arch.archive.refusing():
        assert arch.new.file in curl(tmp_path, "--fail", f"{arch_proxy.url}/packages/d/dummy/").stdout
        assert curl(tmp_path, "--fail", f"{arch_proxy.url}/packages/l/libtest%2B%2B/").returncode == HTTP_ERROR


@pytest.mark.parametrize("is_removed", [False, True], ids=["from the archive", "from the historical archive"])
def test_repro_brings_what_a_package_was_built_with(
    arch: ArchWorld, arch_proxy: Snapproxy, tmp_path: Path, is_removed: bool
) -> None:
    """`buildinfo -d`: HEAD finds the compression, then one call gets the package and its signature."""
    if is_removed:
        arch.service.removed |= {name for each in (arch.old, arch.kept) for name in (each.file, f"{each.file}.sig")}
    cache = f"{arch_proxy.url}/packages"  # ARCH_ARCHIVE_CACHE
    for package in (arch.old, arch.kept):
        target = f"{cache}/{package.name[0]}/{package.name}/{package.file}"
        absent = f"{target.removesuffix('.zst')}.xz"
        assert curl(tmp_path, "-IfLlso", "/dev/null", absent).returncode == HTTP_ERROR
        assert curl(tmp_path, "-IfLlso", "/dev/null", target).returncode == 0
        done = curl(tmp_path, "-sSfL", "--remote-name-all", target, f"{target}.sig")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / package.file).read_bytes() == package.data
        assert (tmp_path / f"{package.file}.sig").read_bytes() == package.signature


def test_makerepropkg_brings_a_package_and_its_signature(
    arch: ArchWorld, arch_proxy: Snapproxy, tmp_path: Path
) -> None:
    """It tries one compression after the other by the exit code alone, and never takes an error page for a package."""
    folder = f"{arch_proxy.url}/packages/d/dummy"
    for name, code in (
        (arch.old.file.removesuffix(".zst"), HTTP_ERROR),
        (arch.old.file, 0),
        (f"{arch.old.file}.sig", 0),
    ):
        done = curl(tmp_path, "-Llf", "-#", "-o", str(tmp_path / name), f"{folder}/{name}")
        assert (done.returncode, (tmp_path / name).exists()) == (code, code == 0), done.stderr
    assert (tmp_path / arch.old.file).read_bytes() == arch.old.data
