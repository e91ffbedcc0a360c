"""The output and the exit code of a real apt when snapproxy refuses, waits, or has no upstream."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.faults import Status
from tests.fakes.forms import DEBIAN, keyring_of, mirror_form, proxy_form, trouble
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import BEFORE_ALL, FIRST, IN_THE_GAP, SECOND, World

pytestmark = pytest.mark.journey
MakeRoot = Callable[[str], AptRoot]


OVERUSED = Status(509, {"Retry-After": "0"})
THROTTLED = Status(429, {"Retry-After": "2"})
ROOT, PACKAGE = "/archive/debian/*/InRelease", "/archive/debian/*/xz-utils_*"


@pytest.mark.parametrize(
    ("fault", "pattern"),
    [
        pytest.param(OVERUSED, ROOT, id="509 on a root", marks=pytest.mark.long),
        pytest.param(OVERUSED, PACKAGE, id="509 on a package", marks=pytest.mark.long),
        pytest.param(THROTTLED, ROOT, id="429 on a root", marks=pytest.mark.long),
        pytest.param(THROTTLED, PACKAGE, id="429 on a package"),
        pytest.param(Status(503), ROOT, id="503 on a root", marks=pytest.mark.long),
        pytest.param(Status(503), PACKAGE, id="503 on a package", marks=pytest.mark.long),
    ],
)
def test_apt_never_notices_that_upstream_was_busy_for_a_while(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot, fault: Status, pattern: str
) -> None:
    world.snapshot.fault(pattern, fault, times=1)
    root = mirror_form(apt_root("root"), world, snapproxy, FIRST)
    for outcome in (root.update(), root.download("xz-utils")):
        assert outcome.code == 0, outcome.text
        assert trouble(outcome.text) == []
    assert any(each.status == fault.code for each in world.snapshot.requests()), "the fault never struck"


def test_an_unknown_host_in_a_pinned_view_is_refused_aloud(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot
) -> None:
    root = proxy_form(apt_root("root"), world, snapproxy, FIRST)
    key = keyring_of(world, root)
    root.sources(
        f"deb [signed-by={key}] {DEBIAN} {world.codename} main",
        f"deb [signed-by={key}] http://packages.example.invalid/tools stable main",
    )
    outcome = root.update()
    assert outcome.code == 100, outcome.text
    assert any("403" in line and "packages.example.invalid" in line for line in outcome.text.splitlines()), outcome.text
    assert all("example.invalid" not in each.path for each in world.log.requests())


def test_going_back_in_time_on_one_client_is_told(world: World, snapproxy: Snapproxy, apt_root: MakeRoot) -> None:
    """Without the 409 apt keeps the newer root and exits 0."""
    root = proxy_form(apt_root("root"), world, snapproxy, SECOND)
    assert root.update().code == 0
    proxy_form(root, world, snapproxy, FIRST)
    outcome = root.update()
    assert outcome.code == 100, outcome.text
    assert "409" in outcome.text
    root.forget_lists()
    assert root.update().code == 0
    assert root.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}


def test_lists_with_rewritten_dates_are_no_silent_step_back(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot
) -> None:
    """Images are built with the dates of files rewritten: apt asks with that date, and would keep its newer root."""
    root = proxy_form(apt_root("root"), world, snapproxy, SECOND)
    assert root.update().code == 0
    for file in root.lists.rglob("*Release"):
        os.utime(file, (0, 1_600_000_000))
    proxy_form(root, world, snapproxy, FIRST)
    outcome = root.update()
    assert outcome.code == 100, outcome.text
    assert "409" in outcome.text
    assert "The date of your lists is unknown" in outcome.text


def test_the_same_time_again_on_one_client_is_no_step_back(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot
) -> None:
    root = proxy_form(apt_root("root"), world, snapproxy, FIRST)
    for _ in range(2):
        outcome = root.update()
        assert outcome.code == 0, outcome.text
        assert trouble(outcome.text) == []


@pytest.mark.parametrize(
    ("when", "status"),
    [(BEFORE_ALL, "410"), (IN_THE_GAP, "410"), ("20991231T000000Z", "425"), ("2024-13-01", "400")],
    ids=["before the first", "in a gap", "future", "no date"],
)
def test_an_instant_without_an_honest_answer_is_refused(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot, when: str, status: str
) -> None:
    outcome = mirror_form(apt_root("root"), world, snapproxy, when).update()
    assert outcome.code == 100, outcome.text
    assert status in outcome.text


def test_a_proxy_request_without_a_time_is_asked_for_one(
    world: World, snapproxy: Snapproxy, apt_root: MakeRoot
) -> None:
    root = proxy_form(apt_root("root"), world, snapproxy, FIRST)
    root.configure(f'Acquire::http::Proxy "{snapproxy.url}";')
    outcome = root.update()
    assert outcome.code == 100, outcome.text
    assert "407" in outcome.text


def test_offline_after_a_restart_serves_what_was_cached_and_says_what_it_lacks(
    world: World, tmp_path: Path, apt_root: MakeRoot
) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    with Snapproxy(settings) as online:
        root = mirror_form(apt_root("online"), world, online, FIRST)
        assert root.update().code == 0
        assert root.download("xz-utils").code == 0
    world.reset()
    with Snapproxy(settings, options=["--offline"]) as offline:
        root = mirror_form(apt_root("offline"), world, offline, FIRST)
        for outcome in (root.update(), root.download("xz-utils")):
            assert outcome.code == 0, outcome.text
        lacking = mirror_form(apt_root("lacking"), world, offline, SECOND).update()
        assert lacking.code == 100, lacking.text
        assert "424" in lacking.text
    assert world.log.requests() == []


def test_killed_and_started_again_it_goes_on(world: World, tmp_path: Path, apt_root: MakeRoot) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    first = Snapproxy(settings).start()
    root = mirror_form(apt_root("before"), world, first, FIRST)
    assert root.update().code == 0
    first.kill()
    with Snapproxy(settings) as second:
        root = mirror_form(apt_root("after"), world, second, FIRST)
        assert root.update().code == 0
        assert root.download("xz-utils").code == 0
