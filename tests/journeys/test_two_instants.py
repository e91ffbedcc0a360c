"""A real apt at two instants: the versions it finds, its checks, and the requests upstream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.content import Content
from tests.fakes.faults import Replace
from tests.fakes.forms import UBUNTU, keyring_of, mirror_form, proxy_form, sources
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, PPA, SECOND, GenuineWorld, State, World

pytestmark = pytest.mark.journey
MakeRoot = Callable[[str], AptRoot]
PAGES = 64 * 1024
"""Room for redirects, error pages and timelines, in bytes."""


def binaries(state: State) -> dict[str, str]:
    """Return sha256 by file name (as apt stores it) of every binary package in the main suite."""
    packages = (package for package in state.debian.packages if not package.is_source)
    return {
        f"{each.name}_{each.version.replace(':', '%3a')}_{each.architecture}.deb": each.fields["SHA256"]
        for each in packages
    }


def digests(root: AptRoot) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in root.fetched().items()}


@pytest.fixture
def build_proxy(build_world: World, tmp_path: Path) -> Iterator[Snapproxy]:
    build_world.reset()
    with Snapproxy(configuration(tmp_path / "snapproxy", build_world)) as process:
        yield process


def test_build_essential_at_two_instants_in_both_forms(
    build_world: World, build_proxy: Snapproxy, apt_root: MakeRoot
) -> None:
    """Candidates differ exactly as the snapshots do, both forms agree, and apt checks the signatures."""
    assert len(build_world.changed()) > 3
    for state in (build_world.first, build_world.second):
        for form in (mirror_form, proxy_form):
            root = form(apt_root(f"{form.__name__}-{state.when}"), build_world, build_proxy, state.when)
            update = root.update()
            assert update.code == 0, update.text
            assert root.candidates(*state.versions) == state.versions
            download = root.download("build-essential")
            assert download.code == 0, download.text
            assert digests(root) == binaries(state)


def test_the_second_instant_costs_what_changed(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    changed = world.changed()
    assert mirror_form(apt_root("first"), world, snapproxy, FIRST).update().code == 0
    assert mirror_form(apt_root("first"), world, snapproxy, FIRST).download("xz-utils").code == 0
    asked = {
        each.path.rpartition("/")[2].partition("_")[0]
        for each in world.snapshot.requests("/archive/debian/")
        if "/pool/" in each.path
    }
    assert asked <= set(changed), "a package that the mirror still has was asked from the snapshot service"

    world.reset()
    root = mirror_form(apt_root("second"), world, snapproxy, SECOND)
    assert root.update().code == 0
    assert root.download("xz-utils").code == 0
    assert digests(root) == binaries(world.second)
    pool = [each for each in world.log.requests() if "/pool/" in each.path]
    assert sorted(each.path.rpartition("/")[2].partition("_")[0] for each in pool) == sorted(changed)
    assert {each.service for each in pool} == {"mirror"}
    folder = f"dists/{world.codename}"
    named = ("InRelease", "main/binary-amd64/Packages.xz")
    indexes = sum(world.second.debian.files[f"{folder}/{name}"].size for name in named)
    packages = sum(
        content.size for each in world.second.debian.packages if each.name in changed for content in each.files.values()
    )
    assert world.log.bytes_sent() <= indexes + packages + PAGES


def test_the_same_instant_again_costs_nothing(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    for name in ("one", "two"):
        root = mirror_form(apt_root(name), world, snapproxy, FIRST)
        assert root.update().code == 0
        assert root.download("xz-utils").code == 0
        if name == "one":
            world.reset()
    assert world.log.requests() == []


@pytest.mark.parametrize("base", ["/archive/debian/{when}/", "/debian/{when}/", "http://HTTPS///ftp.debian.org/debian"])
def test_other_ways_to_write_the_address(world: World, snapproxy: Snapproxy, apt_root: MakeRoot, base: str) -> None:
    root = apt_root("root")
    if "{when}" not in base:
        root.configure(f'Acquire::http::Proxy "{snapproxy.proxy(FIRST)}";')
    sources(root, world, base.format(when=FIRST) if "HTTPS" in base else snapproxy.url + base.format(when=FIRST))
    outcome = root.update()
    assert outcome.code == 0, outcome.text
    assert root.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}


def test_ubuntu_for_any_second_and_from_its_own_sources(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    """Ubuntu's service is simulated from its documentation."""
    for when, state in (("20240601T021234Z", world.first), ("20240710T143059Z", world.second)):
        pinned, untouched = apt_root(f"pinned-{when}"), apt_root(f"untouched-{when}")
        sources(pinned, world, f"{snapproxy.url}/ubuntu/{when}", ["noble", "noble-security"])
        untouched.configure(f'Acquire::http::Proxy "{snapproxy.proxy(when)}";')
        sources(untouched, world, UBUNTU, ["noble", "noble-updates"])
        for root in (pinned, untouched):
            outcome = root.update()
            assert outcome.code == 0, outcome.text
            assert root.candidates("xz-utils") == {"xz-utils": state.versions["xz-utils"]}


def test_a_ppa_in_both_forms(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    """Launchpad's service is simulated from its documentation."""
    pinned = sources(apt_root("pinned"), world, f"{snapproxy.url}/ppa/{FIRST}/{PPA}", ["noble"])
    untouched = sources(apt_root("untouched"), world, f"http://ppa.launchpadcontent.net/{PPA}", ["noble"])
    untouched.configure(f'Acquire::http::Proxy "{snapproxy.proxy(FIRST)}";')
    for root in (pinned, untouched):
        outcome = root.update()
        assert outcome.code == 0, outcome.text
        assert root.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}


def test_security_is_pinned_by_the_same_time(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    """One time, two archives whose dumps have different ids."""
    assert not set(world.debian.ids) & set(world.security.ids)
    root = apt_root("root")
    key = keyring_of(world, root)
    root.sources(
        f"deb [signed-by={key}] {snapproxy.url}/debian/{FIRST} {world.codename} main",
        f"deb [signed-by={key}] {snapproxy.url}/debian-security/{FIRST} {world.codename}-security main",
    )
    outcome = root.update()
    assert outcome.code == 0, outcome.text


def test_a_root_with_a_bad_signature_is_refused_by_name(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    inrelease = f"dists/{world.codename}/InRelease"
    damaged = world.first.debian.files[inrelease].data.replace(b"Suite: ", b"Suite:  ", 1)
    world.snapshot.fault(f"debian/{inrelease}", Replace(Content(damaged)))
    outcome = mirror_form(apt_root("root"), world, snapproxy, FIRST).update()
    assert outcome.code == 100, outcome.text


def test_debians_own_roots_with_debians_own_keyring(
    genuine_world: GenuineWorld, tmp_path: Path, apt_root: MakeRoot
) -> None:
    with Snapproxy(configuration(tmp_path / "snapproxy", genuine_world)) as proxy:
        root = mirror_form(apt_root("root"), genuine_world, proxy, genuine_world.when)
        outcome = root.update()
        assert outcome.code == 0, outcome.text
        assert root.download("hostname").code == 0
        assert root.fetched()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_genuine_build_essential(genuine_world: GenuineWorld, tmp_path: Path, apt_root: MakeRoot) -> None:
    with Snapproxy(configuration(tmp_path / "snapproxy", genuine_world)) as proxy:
        root = proxy_form(apt_root("root"), genuine_world, proxy, genuine_world.when)
        outcome = root.update(timeout=300)
        assert outcome.code == 0, outcome.text
        outcome = root.download("build-essential", timeout=300)
        assert outcome.code == 0, outcome.text
        assert any(name.startswith("gcc_") for name in root.fetched())
