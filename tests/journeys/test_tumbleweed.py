"""Real zypper and dnf at two days of an archive that lists its days.

They go forward and back, by the archive's own addresses, and are pinned by a 407.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapproxy.client_config import rpm
from snapproxy.core.time_spec import parse_time
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.rpm_root import DnfRoot, ZypperRoot
from tests.fakes.rpm_world import VERSIONS, RpmWorld, file_name
from tests.fakes.tumbleweed import FIRST_WHEN, OSS, SECOND_WHEN, TumbleweedWorld
from tests.fakes.world import FIRST, SECOND

pytestmark = pytest.mark.journey
ROW = "opensuse-tumbleweed"
STATES = {FIRST_WHEN: FIRST, SECOND_WHEN: SECOND}
THERE_AND_BACK = (FIRST_WHEN, SECOND_WHEN, FIRST_WHEN)
UNTOUCHED = f"http://download.opensuse.org/tumbleweed/{OSS}/"


@pytest.fixture
def opensuse(rpm_world: RpmWorld) -> Iterator[TumbleweedWorld]:
    world = TumbleweedWorld(rpm_world)
    yield world
    world.close()


@pytest.fixture
def proxy(opensuse: TumbleweedWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(opensuse.configuration(tmp_path / "snapproxy")) as process:
        yield process


def repository(world: RpmWorld, url: str) -> str:
    return f"[t]\nname=t\nbaseurl={url}\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://{world.public_key}\n"


def hello(world: RpmWorld, when: str) -> dict[str, bytes]:
    state = STATES[when]
    return {file_name("hello", VERSIONS[state]["hello"]): world.package(state, "hello").data}


def refreshed(root: ZypperRoot, http_proxy: str = "") -> None:
    for arguments in (("refresh", "--force"), ("--no-refresh", "download", "hello")):
        outcome = root.zypper(*arguments, http_proxy=http_proxy)
        assert outcome.code == 0, outcome.text


def test_zypper_sees_the_day_before_a_time_in_both_forms(
    rpm_world: RpmWorld, opensuse: TumbleweedWorld, proxy: Snapproxy, tmp_path: Path
) -> None:
    one, two = ZypperRoot(tmp_path / "mirror"), ZypperRoot(tmp_path / "proxy")
    two.repository(repository(rpm_world, UNTOUCHED))
    for when in THERE_AND_BACK:
        one.repository(repository(rpm_world, f"{proxy.url}/{ROW}/{when}/{OSS}/"))
        for root, http_proxy in ((one, ""), (two, proxy.proxy(when))):
            refreshed(root, http_proxy)
            assert root.available() == VERSIONS[STATES[when]]
            assert root.fetched().items() >= hello(rpm_world, when).items()
    lists = [each for each in opensuse.log.requests() if each.path == "/history/list"]
    assert 1 <= len(lists) <= 2, "a month's days are asked for once"
    roots = [each.path for each in opensuse.log.requests() if each.path.endswith("repomd.xml")]
    assert sorted(roots) == [f"/history/{day}/tumbleweed/{OSS}/repodata/repomd.xml" for day in ("20240530", "20240609")]


def test_the_archives_own_addresses_name_a_day(rpm_world: RpmWorld, proxy: Snapproxy, tmp_path: Path) -> None:
    """A day that was never published is absent, and is not replaced by another day."""
    root = ZypperRoot(tmp_path / "native")
    for day, when in (("20240602", FIRST_WHEN), ("20240612", SECOND_WHEN)):
        root.repository(repository(rpm_world, f"{proxy.url}/history/{day}/tumbleweed/{OSS}/"))
        refreshed(root)
        assert root.available() == VERSIONS[STATES[when]]
    root.repository(repository(rpm_world, f"{proxy.url}/history/20240601/tumbleweed/{OSS}/"))
    assert root.zypper("refresh", "--force").code != 0


def test_dnf_goes_forward_and_back_with_its_repository_untouched(
    rpm_world: RpmWorld, proxy: Snapproxy, tmp_path: Path
) -> None:
    root = DnfRoot(tmp_path / "dnf")
    root.repository(repository(rpm_world, UNTOUCHED))
    for when in THERE_AND_BACK:
        time.sleep(1.1)  # dnf counts the age of its files in whole seconds
        (lines,) = rpm.proxy(rpm.RpmOptions(ROW, OSS, parse_time(when), proxy.url))
        root.main(lines.text.replace("[main]\n", ""))
        outcome = root.download("hello")
        assert outcome.code == 0, outcome.text
        assert root.fetched() == hello(rpm_world, when)


def test_the_days_are_listed_and_a_time_is_settled_by_them(opensuse: TumbleweedWorld, tmp_path: Path) -> None:
    file = str(opensuse.configuration(tmp_path / "verbs"))
    told = run("timeline", ROW, "--from", "20240601", "--to", "20240610", "--config", file)
    assert told.stdout.splitlines() == ["20240602T235959Z", "20240608T235959Z", "20240609T235959Z"], told.stderr
    early = run("resolve", ROW, "20240501", "--config", file)
    assert early.returncode == 1
    assert "20240529T235959Z" in early.stderr
    found = run("resolve", ROW, "20240610", "--config", file)
    assert found.stdout == "20240609T235959Z\n", found.stderr
    path = f"{OSS}/repodata/repomd.xml"
    fetched = run("fetch", ROW, found.stdout.strip(), path, "--output-dir", str(tmp_path), "--json", "--config", file)
    assert fetched.returncode == 0, fetched.stderr
    assert "2024/06/09" in fetched.stdout
