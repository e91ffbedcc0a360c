"""Real apt, directly against the simulated services: the journeys depend on these facts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.content import epoch
from tests.fakes.faults import Hold, Html, Replace, Reset, Status, Truncate, WrongBytes
from tests.fakes.signing import SigningKey
from tests.fakes.world import BEFORE_ALL, FIRST, IN_THE_GAP, GenuineWorld, World

MakeRoot = Callable[[str], AptRoot]
NO_WAIT = ('Acquire::Retries "0";',)


def pinned(root: AptRoot, world: World, when: str) -> AptRoot:
    root.sources(
        f"deb [signed-by={root.keyring(world.key.keyring)}] "
        f"{world.snapshot.url}/archive/debian/{when} {world.codename} main"
    )
    return root


def test_apt_sees_each_instant_as_it_was_published(world: World, apt_root: MakeRoot) -> None:
    for state in (world.first, world.second):
        root = pinned(apt_root(state.when), world, state.when)
        assert root.update().code == 0
        assert root.candidates(*state.versions) == state.versions
        assert root.download("xz-utils").code == 0
        held = {
            file.rpartition("/")[2]: content.data
            for p in state.debian.packages
            if not p.is_source
            for file, content in p.files.items()
        }
        assert {name.replace("%3a", ":"): data for name, data in root.fetched().items()} == held


def test_the_two_instants_differ_and_share(world: World) -> None:
    changed = world.changed()
    assert "xz-utils" in changed
    assert 0 < len(changed) < len(world.first.versions)


def test_the_mirror_shows_the_newest_state(world: World, apt_root: MakeRoot) -> None:
    root = apt_root("mirror")
    root.sources(f"deb [signed-by={root.keyring(world.key.keyring)}] {world.mirror.url}/debian {world.codename} main")
    assert root.update().code == 0
    assert root.candidates("xz-utils") == {"xz-utils": world.second.versions["xz-utils"]}
    assert not world.snapshot.requests()


def test_ubuntu_answers_for_any_second(world: World, apt_root: MakeRoot) -> None:
    root = apt_root("ubuntu")
    for offset, state in ((12345, world.first), (1, world.second)):
        when = state.when[:-3] + f"{offset % 60:02}Z"
        root.sources(
            f"deb [signed-by={root.keyring(world.key.keyring)}] {world.ubuntu_server.url}/ubuntu/{when} noble main"
        )
        assert root.update().code == 0
        assert root.candidates("xz-utils") == {"xz-utils": state.versions["xz-utils"]}


def test_apt_refuses_a_root_that_a_stranger_signed(
    world: World, apt_root: MakeRoot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = SigningKey(tmp_path_factory.mktemp("stranger") / "g", name="Stranger")
    path = f"dists/{world.codename}/InRelease"
    release = world.first.debian.files[f"dists/{world.codename}/Release"].data
    forged = world.first.debian.files[path].__class__(stranger.clear(release, at=FIRST), epoch(FIRST))
    world.snapshot.fault(f"debian/{path}", Replace(forged))
    root = pinned(apt_root("root"), world, FIRST)
    outcome = root.update()
    stranger.close()
    assert outcome.code == 100
    assert "NO_PUBKEY" in outcome.text or "not signed" in outcome.text


@pytest.mark.parametrize("fault", [Status(403), Status(404), Status(509)], ids=["403", "404", "509"])
def test_a_final_status_on_the_root_makes_apt_fail(world: World, apt_root: MakeRoot, fault: Status) -> None:
    world.snapshot.fault("*/Release*", fault)
    world.snapshot.fault("*/InRelease", fault)
    root = pinned(apt_root("root"), world, FIRST)
    outcome = root.update()
    assert outcome.code == 100, outcome.text
    assert str(fault.code) in outcome.text


@pytest.mark.parametrize("fault", [Status(503), Reset(), Truncate(100)], ids=["503", "reset", "truncated"])
def test_a_passing_fault_on_the_root_makes_apt_exit_with_success(
    world: World, apt_root: MakeRoot, fault: Status
) -> None:
    """snapproxy's 424 exists for this case."""
    world.snapshot.fault("*/InRelease", fault)
    root = pinned(apt_root("root"), world, FIRST)
    root.configure(*NO_WAIT)
    outcome = root.update()
    assert outcome.code == 0, outcome.text
    assert "W: " in outcome.text
    assert not root.candidates("xz-utils")


def test_apt_resumes_a_cut_package(world: World, apt_root: MakeRoot) -> None:
    root = pinned(apt_root("root"), world, FIRST)
    assert root.update().code == 0
    world.snapshot.fault("debian/pool/*/libc6_*", Truncate(100_000), times=1)
    outcome = root.download("xz-utils")
    assert outcome.code == 0, outcome.text
    resumed = [each for each in world.snapshot.requests("/file/") if each.status == 206]
    assert resumed
    assert resumed[0].headers["range"].startswith("bytes=")


def test_apt_notices_changed_bytes_and_web_pages(world: World, apt_root: MakeRoot) -> None:
    root = pinned(apt_root("root"), world, FIRST)
    assert root.update().code == 0
    for fault in (WrongBytes(), Html()):
        world.snapshot.heal()
        world.snapshot.fault("debian/pool/*/liblzma5_*", fault)
        assert root.download("xz-utils").code == 100


def test_a_hold_keeps_apt_waiting_until_released(world: World, apt_root: MakeRoot) -> None:
    root = pinned(apt_root("root"), world, FIRST)
    hold = world.snapshot.fault("debian/dists/*/InRelease", Hold(after=10))
    process = root.start("apt-get", "update")
    assert hold.reached.wait(20)
    assert process.poll() is None
    hold.release()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, out + err


def test_before_the_first_dump_there_is_nothing(world: World, apt_root: MakeRoot) -> None:
    outcome = pinned(apt_root("root"), world, BEFORE_ALL).update()
    assert outcome.code == 100
    assert "404" in outcome.text


def test_in_a_gap_the_service_silently_answers_with_an_older_day(world: World, apt_root: MakeRoot) -> None:
    """snapproxy's 410 exists for this case."""
    root = pinned(apt_root("root"), world, IN_THE_GAP)
    assert root.update().code == 0
    assert root.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}


def test_apt_silently_stays_with_the_newer_root(world: World, apt_root: MakeRoot) -> None:
    """snapproxy's 409 exists for this case: one URL, a later time first."""
    root = apt_root("root")
    line = f"deb [signed-by={root.keyring(world.key.keyring)}] {world.mirror.url}/debian {world.codename} main"
    root.sources(line)
    assert root.update().code == 0
    world.debian.publish("20240901T000000Z", world.first.debian)
    try:
        assert root.update().code == 0
        assert root.candidates("xz-utils") == {"xz-utils": world.second.versions["xz-utils"]}
    finally:
        world.debian.withdraw("20240901T000000Z")


def test_debian_s_own_roots_pass_debian_s_own_keyring(genuine_world: GenuineWorld, apt_root: MakeRoot) -> None:
    root = apt_root("genuine")
    key = root.keyring(genuine_world.keyring)
    url = f"{genuine_world.snapshot.url}/archive/debian/{genuine_world.when}"
    root.sources(f"deb [signed-by={key}] {url} {genuine_world.codename} main")
    assert root.update().code == 0
    assert root.download("hostname").code == 0
    assert len(root.fetched()) >= 1
