"""A real pacman through snapproxy, the machine's own and 7 from trixie.

It goes to two days of an archive, forward and back; the requests upstream are counted.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from snapproxy.client_config import pacman
from snapproxy.core.time_spec import parse_time
from tests.fakes.arch import FIRST, MISSING_DAY, REPO, SECOND, ArchWorld
from tests.fakes.pacman_root import PacmanRoot
from tests.fakes.proxy import Snapproxy

pytestmark = pytest.mark.journey
MakeRoot = Callable[[str], PacmanRoot]
UNMODIFIED = "http://mirror.example.invalid/pub/archlinux/$repo/os/$arch"


def mirror_form(proxy: Snapproxy, when: str) -> str:
    return f"{proxy.url}/archlinux/{when}/$repo/os/$arch"


def done(root: PacmanRoot, *arguments: str, **environment: str) -> str:
    outcome = root.run(*arguments, environment=environment)
    assert outcome.code == 0, outcome.text
    return outcome.text


def get(url: str) -> tuple[bytes, str]:
    """Return the bytes of a file and snapproxy's own headers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return answer.read(), str(answer.headers)


def test_two_days_signed_packages_and_back_in_time_on_one_client(
    arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot
) -> None:
    root = make_pacman("root")
    for when, package in ((SECOND, arch.new), (FIRST, arch.old), (SECOND, arch.new)):
        root.server(mirror_form(arch_proxy, when))
        done(root, "-Sy")
        assert root.versions() == {"dummy": package.version, "libtest++": arch.kept.version}, when
        done(root, "-Sw", "dummy", "libtest++")
        assert {package.file, arch.kept.file} <= root.fetched()
        assert (root.folder / "cache" / package.file).read_bytes() == package.data
    asked = [each.path.rpartition("/")[2] for each in arch.log.requests() if each.status == 200]
    packages = [name for name in asked if ".pkg.tar" in name]
    assert len(packages) == len(set(packages)), "each file was brought once, whichever day asked for it"
    # A file that the mirror still has (its digest is listed) is never requested from the archive.
    assert not arch.archive.requests("/packages/l/")


@pytest.mark.long
def test_the_proxy_form_leaves_the_mirrorlist_as_it_is(
    arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot
) -> None:
    root = make_pacman("root")
    root.server(UNMODIFIED)
    assert root.run("-Sy", environment={"http_proxy": arch_proxy.url}).code != 0, "without a time there is a 407"
    done(root, "-Sy", http_proxy=arch_proxy.proxy(FIRST))
    done(root, "-Sw", "dummy", http_proxy=arch_proxy.proxy(FIRST))
    assert arch.old.file in root.fetched()
    assert not [each for each in arch.log.requests() if "example.invalid" in each.path]


@pytest.mark.long
def test_a_part_that_was_left_is_resumed(arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot) -> None:
    root = make_pacman("root")
    root.server(mirror_form(arch_proxy, FIRST))
    done(root, "-Sy")
    (root.folder / "cache" / f"{arch.old.file}.part").write_bytes(arch.old.data[:100_000])
    done(root, "-Sw", "dummy")
    assert (root.folder / "cache" / arch.old.file).read_bytes() == arch.old.data
    assert " 206 " in arch_proxy.log


@pytest.mark.long
def test_the_same_time_again_is_not_sent_again(arch_proxy: Snapproxy, make_pacman: MakeRoot) -> None:
    root = make_pacman("root")
    root.server(mirror_form(arch_proxy, FIRST))
    done(root, "-Sy")
    assert " 304 " not in arch_proxy.log
    done(root, "-Sy")
    assert " 304 " in arch_proxy.log


@pytest.mark.long
def test_files_databases_are_served(arch_proxy: Snapproxy, make_pacman: MakeRoot) -> None:
    root = make_pacman("root")
    root.server(mirror_form(arch_proxy, FIRST))
    done(root, "-Fy")
    assert "usr/share/dummy" in done(root, "-Fl", "dummy")


@pytest.mark.long
def test_packages_are_installed_and_downgraded(arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot) -> None:
    root = make_pacman("root")
    for when, package in ((SECOND, arch.new), (FIRST, arch.old)):
        root.server(mirror_form(arch_proxy, when))
        done(root, "-Syuu", "dummy")
        assert done(root, "-Q", "dummy").split() == ["dummy", package.version]


@pytest.mark.long
def test_the_archive_s_own_addresses(arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot) -> None:
    root = make_pacman("root")
    root.server(f"{arch_proxy.url}/repos/2024/06/03/$repo/os/$arch")
    done(root, "-Sy")
    done(root, "-Sw", "dummy")
    assert arch.old.file in root.fetched()
    root.server(f"{arch_proxy.url}/repos/{MISSING_DAY}/$repo/os/$arch")
    outcome = root.run("-Syy")
    assert outcome.code != 0, "a missing day is never walked back"
    assert "404" in outcome.text


@pytest.mark.parametrize("make_pacman", ["pacman 7"], indirect=True)
@pytest.mark.long
def test_a_cache_server_brings_packages_and_nothing_else(
    arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot
) -> None:
    """pacman has CacheServer from 6.1 on; these lines are printed by `sources archlinux --form cache`."""
    (conf,) = pacman.cache(pacman.PacmanOptions(parse_time(SECOND), arch_proxy.url))
    patience, line = (line for line in conf.text.splitlines() if line and not line.startswith("#"))
    root = make_pacman("root")
    root.server(line, f"{arch.mirror.url}/archlinux/$repo/os/$arch", options=patience)
    assert "warning" not in done(root, "-Sy")
    done(root, "-Sw", "dummy")
    assert arch.new.file in root.fetched()
    asked = [each.path.rpartition("/")[2] for each in arch.log.requests() if "pacman/" in each.headers["user-agent"]]
    assert asked == ["core.db", "core.db.sig"]


@pytest.mark.long
def test_a_package_is_one_thing_under_every_path(arch: ArchWorld, arch_proxy: Snapproxy) -> None:
    get(f"{arch_proxy.url}/archlinux/{FIRST}/{REPO}/core.db")
    data, headers = get(f"{arch_proxy.url}/archlinux/{FIRST}/{REPO}/{arch.old.file}")
    assert data == arch.old.data
    assert "X-Snapproxy-Snapshot: archlinux/2024/06/03" in headers
    assert "X-Snapproxy-Verified: index" in headers
    time.sleep(0.5)  # the name shared by all paths is written once the client has the whole file
    for path in (
        f"packages/d/dummy/{arch.old.file}",
        f"packages/.all/{arch.old.file}",
        f"repos/2024/06/02/{REPO}/{arch.old.file}",
    ):
        data, headers = get(f"{arch_proxy.url}/{path}")
        assert data == arch.old.data
        assert "X-Cache: HIT" in headers, path
    asked = [each for each in arch.log.requests() if each.path.endswith(arch.old.file) and each.status == 200]
    assert len(asked) == 1


@pytest.mark.long
def test_what_only_the_historical_archive_has_is_fetched_there(
    arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot
) -> None:
    arch.service.removed |= {arch.old.file, f"{arch.old.file}.sig"}
    root = make_pacman("root")
    root.server(mirror_form(arch_proxy, FIRST))
    done(root, "-Sy")
    done(root, "-Sw", "dummy")
    assert (root.folder / "cache" / arch.old.file).read_bytes() == arch.old.data
    assert any(each.path.startswith("/historical/archlinux_pkg_dummy/") for each in arch.log.requests())


@pytest.mark.long
def test_days_that_hold_databases_only_are_whole_again(
    arch: ArchWorld, arch_proxy: Snapproxy, make_pacman: MakeRoot
) -> None:
    arch.service.thinned |= set(arch.service.days)
    root = make_pacman("root")
    root.server(mirror_form(arch_proxy, FIRST))
    done(root, "-Sy")
    done(root, "-Sw", "dummy")
    assert arch.old.file in root.fetched()


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        (f"archlinux/20240606T200000Z/{REPO}/core.db", 200, "2024/06/05"),
        (f"archlinux/20240101/{REPO}/core.db", 410, ""),
        (f"archlinux/latest/{REPO}/core.db", 410, ""),
        (f"repos/last/{REPO}/core.db", 425, "use /repos/"),
        (f"archlinux/{FIRST}/{REPO}/core.db.sig", 404, ""),
    ],
)
def test_what_is_answered_and_what_is_not(arch_proxy: Snapproxy, path: str, status: int, named: str) -> None:
    try:
        _, text = get(f"{arch_proxy.url}/{path}")
        code = 200
    except urllib.error.HTTPError as error:
        code, text = error.code, error.reason
        error.close()
    assert code == status, text
    assert named in text
