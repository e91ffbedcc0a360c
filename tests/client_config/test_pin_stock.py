"""The script that pins a root, on the stock configuration files of distributions. Each is pinned whole or refused."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from snapproxy.archives import BUILTIN
from snapproxy.client_config.pin_script import script
from snapproxy.core.time_spec import parse_time
from tests.fakes.pinning import Shell, age, look

BASE = "http://127.0.0.1:4000"
TS = "20240601T000000Z"
STOCK = Path(__file__).parents[1] / "data/stock"
CDN = "deb" + ".debian.org"

OPENH264 = "https://mirrors.fedoraproject.org/metalink?repo=fedora-cisco-openh264-$releasever&arch=$basearch"

DASH, BASH, BUSYBOX = "dash", "gawk", "busybox"
#: The shell of each distribution, and the enabled sources of its stock files once they are pinned.
PINNED: dict[str, tuple[str, set[str]]] = {
    "debian": (DASH, {f"debian/{TS}/", f"debian-security/{TS}/"}),
    "debian-one-line": (DASH, {f"debian/{TS}/", f"debian-security/{TS}/"}),
    "debian-installer": (DASH, {f"debian/{TS}/", f"debian-security/{TS}/"}),
    "debian-cloud": (DASH, {f"debian/{TS}/", f"debian-security/{TS}/"}),
    "ubuntu": (DASH, {f"ubuntu/{TS}/"}),
    "ubuntu-one-line": (DASH, {f"ubuntu/{TS}/"}),
    "ubuntu-ports": (DASH, {f"ubuntu-ports/{TS}/"}),
    "arch": (BASH, {f"archlinux/{TS}/$repo/os/$arch"}),
    "alpine": (BUSYBOX, {f"alpine/{TS}/v3.22/main", f"alpine/{TS}/v3.22/community"}),
    "alpine-tagged": (
        BUSYBOX,
        {f"alpine/{TS}/v3.20/main", f"alpine/{TS}/v3.20/community", f"alpine/{TS}/edge/testing"},
    ),
    "centos-stream-9": (
        BASH,
        {f"centos-stream/{TS}/$stream/{name}/$basearch/os/" for name in ("BaseOS", "AppStream")}
        | {f"centos-stream/{TS}/SIGs/$stream/extras/$basearch/extras-common/"},
    ),
    "centos-stream-10": (
        BASH,
        {f"centos-stream/{TS}/$stream/{name}/$basearch/os/" for name in ("BaseOS", "AppStream")}
        | {f"centos-stream/{TS}/SIGs/$stream/extras/$basearch/extras-common/"},
    ),
    "rocky": (BASH, {f"rocky/{TS}/$releasever/{name}/$basearch/os/" for name in ("BaseOS", "AppStream")}),
    "almalinux": (
        BASH,
        {f"almalinux/{TS}/$releasever/{name}/$basearch/os/" for name in ("BaseOS", "AppStream", "extras")},
    ),
    "opensuse-leap-15": (
        BASH,
        {f"opensuse-leap/{TS}/$releasever/repo/oss/"}
        | {f"opensuse-update/{TS}/leap/$releasever/{name}/" for name in ("oss", "sle", "backports")},
    ),
}
#: Stock files with a source that no built-in archive has: the line that names it, and the others once it is off.
REFUSED: dict[str, tuple[str, list[str], set[str]]] = {
    "fedora": (
        BASH,
        [f"/etc/yum.repos.d/fedora-cisco-openh264.repo: {OPENH264}"],
        {
            f"fedora/{TS}/releases/$releasever/Everything/$basearch/os/",
            f"fedora/{TS}/updates/$releasever/Everything/$basearch/",
        },
    ),
    "opensuse-tumbleweed": (
        BASH,
        ["/etc/zypp/repos.d/repo-openh264.repo: http://codecs.opensuse.org/openh264/openSUSE_Tumbleweed"],
        {
            f"opensuse-tumbleweed/{TS}/repo/oss/",
            f"opensuse-tumbleweed/{TS}/repo/non-oss/",
            f"opensuse-update/{TS}/tumbleweed/",
        },
    ),
    # The service writes the files of its repositories again, with their live addresses, when zypper refreshes it.
    "opensuse-leap-16": (
        BASH,
        [
            "/etc/zypp/repos.d/openSUSE:repo-openh264.repo: http://codecs.opensuse.org/openh264/openSUSE_Leap_16",
            "/etc/zypp/services.d/openSUSE.service: dir:/usr/share/zypp/local/service/openSUSE",
        ],
        {f"opensuse-leap/{TS}/$releasever/repo/oss/$basearch"},
    ),
}


PAGE = Path(__file__).parents[2] / "docs/explain/clients.md"


@pytest.fixture
def root(tmp_path: Path, name: str) -> Path:
    root = tmp_path / "root"
    shutil.copytree(STOCK / name, root)
    for file in root.rglob("*"):
        if file.is_file():
            file.write_text(file.read_text(encoding="utf-8").replace("@CDN@", CDN), encoding="utf-8")
    age(root)
    return root


def pin(shell: Shell, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return shell.run(script(BUILTIN, parse_time(TS), BASE), "--root", str(root), *options)


def enabled(root: Path) -> Iterator[str]:
    """Read the sources of a root, not with the script's own reader."""
    apt = root / "etc/apt"
    for file in (apt / "sources.list", *apt.glob("sources.list.d/*.list")):
        for line in _lines(file):
            yield from _apt(root, line.split()[1])
    for file in apt.glob("sources.list.d/*.sources"):
        for stanza in "\n".join(line for line in file.read_text().split("\n") if line[:1] != "#").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
            if fields and fields.get("Enabled") != "no":
                yield from _apt(root, fields["URIs"])
    for file in (root / "etc/pacman.conf", root / "etc/pacman.d/mirrorlist"):
        yield from (line.partition("=")[2].strip() for line in _lines(file) if line.startswith("Server"))
    yield from (line.split()[-1] for line in _lines(root / "etc/apk/repositories"))
    for file in (*root.glob("etc/*/repos.d/*.repo"), *root.glob("etc/yum.repos.d/*.repo")):
        yield from _sections(file, "baseurl", "metalink", "mirrorlist")
    for file in root.glob("etc/zypp/services.d/*.service"):
        yield from _sections(file, "url")


def _lines(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line for line in lines if line and line[0] != "#"]


def _apt(root: Path, address: str) -> Iterator[str]:
    if address.startswith("mirror+file://"):
        yield from _lines(root / address.removeprefix("mirror+file:///"))
    else:
        yield address


def _sections(file: Path, *keys: str) -> Iterator[str]:
    parser = ConfigParser(interpolation=None)
    parser.read(file)
    for section in parser.sections():
        if parser[section]["enabled"] != "0":
            yield from (parser[section][key] for key in keys if key in parser[section])


@pytest.mark.parametrize("name", PINNED)
def test_stock_files_are_pinned_whole(all_shells: dict[str, Shell], root: Path, name: str) -> None:
    before = look(root)
    shell, expected = PINNED[name]
    done = pin(all_shells[shell], root)
    assert (done.returncode, done.stdout) == (0, f"snapproxy: pinned to {TS} at {BASE}\n"), done.stderr
    assert set(enabled(root)) == {f"{BASE}/{address}" for address in expected}
    assert pin(all_shells[shell], root, "--undo").returncode == 0
    if shell != BUSYBOX:
        assert look(root) == before


@pytest.mark.parametrize("name", REFUSED)
def test_stock_files_with_another_archive_are_refused(all_shells: dict[str, Shell], root: Path, name: str) -> None:
    before = look(root)
    shell, unknown, _ = REFUSED[name]
    done = pin(all_shells[shell], root)
    assert (done.returncode, done.stdout) == (1, "")
    *found, reason = done.stderr.splitlines()
    assert found == unknown
    assert "turn them off with --disable-unknown" in reason
    assert look(root) == before


@pytest.mark.parametrize("name", REFUSED)
def test_stock_files_with_another_archive_are_pinned_without_it(
    all_shells: dict[str, Shell], root: Path, name: str
) -> None:
    """As in the Dockerfile that `snapproxy sources` prints for rpm archives."""
    before = look(root)
    shell, unknown, expected = REFUSED[name]
    for _ in range(2):
        done = pin(all_shells[shell], root, "--disable-unknown")
        assert (done.returncode, done.stdout) == (0, f"snapproxy: pinned to {TS} at {BASE}\n"), done.stderr
        off = [line for line in done.stderr.splitlines() if line.startswith("snapproxy: disabled: ")]
        assert off == [f"snapproxy: disabled: {line}" for line in unknown]
        assert set(enabled(root)) == {f"{BASE}/{address}" for address in expected}
    assert pin(all_shells[shell], root, "--undo").returncode == 0
    assert look(root) == before


@pytest.mark.parametrize("name", REFUSED)
def test_stock_files_with_another_archive_are_pinned_beside_it(
    all_shells: dict[str, Shell], root: Path, name: str
) -> None:
    shell, unknown, expected = REFUSED[name]
    done = pin(all_shells[shell], root, "--keep-unknown")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-len(unknown) :] == [f"snapproxy: stays unpinned: {line}" for line in unknown]
    kept = {line.partition(": ")[2] for line in unknown}
    assert set(enabled(root)) == {f"{BASE}/{address}" for address in expected} | kept


def test_the_page_has_every_stock_root_with_its_result() -> None:
    rows = re.findall(r"^\| .+ \| `([a-z0-9-]+)` \| (\w+) \| (\w+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    expected = dict.fromkeys(PINNED, ("pinned", "pinned")) | dict.fromkeys(REFUSED, ("refused", "pinned"))
    assert {name: tuple(words) for name, *words in rows} == expected
    assert {each.name for each in STOCK.iterdir()} == set(expected)


@pytest.mark.parametrize("name", PINNED)
def test_stock_files_without_an_unknown_source_are_pinned_with_disable_unknown_too(
    all_shells: dict[str, Shell], root: Path, name: str
) -> None:
    shell, expected = PINNED[name]
    assert pin(all_shells[shell], root, "--disable-unknown").returncode == 0
    assert set(enabled(root)) == {f"{BASE}/{address}" for address in expected}
