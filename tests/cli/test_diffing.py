"""`diff` with the real application and real servers: apt, pacman, rpm, apk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import diff, main
from tests.fakes import alpine_world, arch, rpm_world
from tests.fakes.alpine_world import AlpineWorld
from tests.fakes.arch import ArchWorld
from tests.fakes.content import FixedTree, Package
from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, SUITE, Edition, Hamlet, made_up
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.rpm_world import REPOSITORY, RpmWorld
from tests.fakes.signing import SigningKey

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edition]:
    key = SigningKey(tmp_path_factory.mktemp("key") / "gnupg")
    yield Edition(key)
    key.close()


@pytest.fixture
def hamlet(edition: Edition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hamlet]:
    with Hamlet(edition) as hamlet:
        file = tmp_path / "config.toml"
        file.write_text(
            f'state_dir = "{tmp_path}/state"\ncache_dir = "{tmp_path}/cache"\n[archives.debian]\n'
            f'snapshot = ["{hamlet.past.url}/archive/debian"]\nmirrors = ["{hamlet.now.url}/debian"]\n'
            f'keyrings = ["{edition.key.keyring}"]\n',
            encoding="utf-8",
        )
        monkeypatch.setenv("SNAPPROXY_CONFIG", str(file))
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        yield hamlet


def json_of(capsys: Capture, *argv: str) -> dict[str, Any]:
    assert main(["diff", *argv, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def lines(capsys: Capture, *argv: str) -> list[str]:
    assert main(["diff", *argv]) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys: Capture, *argv: str, code: int = 1) -> list[str]:
    assert main(["diff", *argv]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def show(hamlet: Hamlet, when: str, *suites: SuitePlan) -> None:
    """Publish another state of the archive at `when`."""
    hamlet.publish(when, Publisher(hamlet.edition.key).tree(when, suites))


def named(package: Package, **fields: str) -> Package:
    """Return a package with further fields in its stanza."""
    return Package(package.stanza + "".join(f"\n{key}: {value}" for key, value in fields.items()), package.files)


# --- apt ------------------------------------------------------------------------------------------------------------


def test_a_table_for_people(hamlet: Hamlet, capsys: Capture) -> None:
    assert lines(capsys, "debian", FIRST, SECOND, "--suite", SUITE) == [
        "name   arch   before  after  kind",
        "moved  amd64  1       2      up",
        f"{FIRST} to {SECOND}: 1 up",
    ]


def test_json_for_machines(hamlet: Hamlet, capsys: Capture) -> None:
    assert json_of(
        capsys, "debian", SECOND, "2024-06-01", "--suite", SUITE, "--component", "main", "--arch", "amd64"
    ) == {
        "archive": "debian",
        "before": {"when": SECOND, "snapshots": [SECOND]},
        "after": {"when": "2024-06-01", "snapshots": [FIRST]},
        "components": ["main"],
        "counts": {"came": 0, "went": 0, "up": 0, "down": 1, "changed": 0},
        "packages": [
            {
                "name": "moved",
                "architecture": "amd64",
                "component": "main",
                "kind": "down",
                "before": ["2"],
                "after": ["1"],
            }
        ],
    }


def test_what_came_what_went_and_several_versions_at_once(hamlet: Hamlet, capsys: Capture) -> None:
    before, after = ("9", "10", "11~rc1", "8", "7"), ("10", "11~rc1", "11")
    show(hamlet, FIRST, SuitePlan(SUITE, (*(made_up("kernel", each, 9) for each in before), made_up("old", "1", 9))))
    show(hamlet, SECOND, SuitePlan(SUITE, (*(made_up("kernel", each, 9) for each in after), made_up("new", "1", 9))))
    assert lines(capsys, "debian", FIRST, SECOND, "--suite", SUITE) == [
        "name    arch   before                 after           kind",
        "kernel  amd64  11~rc1, 10, 9, 2 more  11, 11~rc1, 10  up",
        "new     amd64  -                      1               came",
        "old     amd64  1                      -               went",
        f"{FIRST} to {SECOND}: 1 came, 1 went, 1 up",
    ]


def test_what_is_built_from_one_source_is_one_line(hamlet: Hamlet, capsys: Capture) -> None:
    for when, version in ((FIRST, "1"), (SECOND, "2")):
        built = [named(made_up(name, f"{version}+b1", 9), Source=f"src ({version})") for name in ("lib", "tool")]
        show(hamlet, when, SuitePlan(SUITE, tuple(built)))
    assert lines(capsys, "debian", FIRST, SECOND, "--suite", SUITE, "--source")[1:] == [
        "src   -     1       2      up",
        f"{FIRST} to {SECOND}: 1 up",
    ]
    assert [each["name"] for each in json_of(capsys, "debian", FIRST, SECOND, "--suite", SUITE)["packages"]] == [
        "lib",
        "tool",
    ]


def test_indexes_that_are_the_same_are_not_even_asked_for(hamlet: Hamlet, capsys: Capture) -> None:
    assert json_of(capsys, "debian", FIRST, "20240602T000000Z", "--suite", SUITE)["packages"] == []
    assert lines(capsys, "debian", FIRST, FIRST, "--suite", SUITE) == [f"{FIRST} to {FIRST}: no difference"]
    assert not [each for each in hamlet.log.requests() if "Packages" in each.path or "by-hash" in each.path]


def test_what_was_compared_once_is_compared_offline(hamlet: Hamlet, capsys: Capture) -> None:
    first = json_of(capsys, "debian", FIRST, SECOND, "--suite", SUITE)
    hamlet.log.reset_counts()
    assert json_of(capsys, "debian", FIRST, SECOND, "--suite", SUITE, "--offline") == first
    assert not hamlet.log.requests()


def test_a_suite_that_does_not_exist_is_refused_as_a_client_would_be(hamlet: Hamlet, capsys: Capture) -> None:
    assert refused(capsys, "debian", FIRST, SECOND, "--suite", "nowhere") == [
        "snapproxy: Not in the archive at that time",
        f"  No source of debian/{FIRST} has dists/nowhere/Release.",
        "  Check the path and the requested time.",
    ]


def test_components_and_architectures_that_do_not_exist_are_refused(hamlet: Hamlet, capsys: Capture) -> None:
    asked = ("debian", FIRST, SECOND, "--suite", SUITE)
    assert refused(capsys, *asked, "--component", "main", "--component", "universe") == [
        "snapproxy: There is no such component at either time",
        "  universe is not one of: main.",
    ]
    assert refused(capsys, *asked, "--arch", "x86_64")[1:] == ["  x86_64 is not one of: amd64."]


def test_a_time_that_is_refused_is_told_in_three_lines(hamlet: Hamlet, capsys: Capture) -> None:
    reason, *rest = refused(capsys, "debian", FIRST, "20090101T000000Z", "--suite", SUITE)
    assert "before the archive's first snapshot" in reason
    assert rest


def test_an_index_that_cannot_be_read_is_named(hamlet: Hamlet, capsys: Capture) -> None:
    good = made_up("kept", "1", 9)
    bad = Package(good.stanza.replace("Version: 1\n", "Version: 1 2\n"), good.files)
    show(hamlet, SECOND, SuitePlan(SUITE, (bad,)))
    assert refused(capsys, "debian", FIRST, SECOND, "--suite", SUITE) == [
        "snapproxy: An index lists a package with an invalid name or version",
        f"  {PACKAGES} at {SECOND}: The name, architecture, version or source of 'kept' is '1 2'.",
    ]


def test_an_index_that_upstream_does_not_have_is_refused(hamlet: Hamlet, capsys: Capture) -> None:
    hamlet.past.fault("*Packages.xz", Status(404))
    hamlet.past.fault("*by-hash*", Status(404))
    hamlet.now.fault("*", Status(404))
    assert refused(capsys, "debian", FIRST, SECOND, "--suite", SUITE)[0].startswith("snapproxy: ")


def test_a_suite_must_be_named_and_an_archive_known(hamlet: Hamlet, capsys: Capture) -> None:
    assert refused(capsys, "debian", FIRST, SECOND, code=2) == [
        "snapproxy: No suite was named",
        "  Name a suite, for example: --suite bookworm",
    ]
    assert refused(capsys, "nowhere", FIRST, SECOND)[0] == "snapproxy: There is no archive of that name"
    with pytest.raises(SystemExit) as left:
        main(["diff", "debian", "yesterday", SECOND])
    assert left.value.code == 2


def test_a_component_that_came_is_all_of_its_packages(hamlet: Hamlet, capsys: Capture) -> None:
    show(hamlet, FIRST, SuitePlan(SUITE, (made_up("a", "1", 9),)))
    show(hamlet, SECOND, SuitePlan(SUITE, (made_up("a", "1", 9),), component="contrib"))
    assert lines(capsys, "debian", FIRST, SECOND, "--suite", SUITE) == [
        "name  arch   before  after  kind  component",
        "a     amd64  -       1      came  contrib",
        "a     amd64  1       -      went  main",
        f"{FIRST} to {SECOND}: 1 came, 1 went",
    ]


def test_an_old_suite_without_an_inrelease(hamlet: Hamlet, capsys: Capture) -> None:
    for when in (FIRST, SECOND):
        tree = hamlet.edition.trees[when].files
        old = {path: content for path, content in tree.items() if path != INRELEASE}
        hamlet.publish(when, FixedTree(old))
    assert json_of(capsys, "debian", FIRST, SECOND, "--suite", SUITE)["counts"]["up"] == 1


def test_a_pin_and_the_present(hamlet: Hamlet, capsys: Capture) -> None:
    found = json_of(capsys, "debian", FIRST, "live", "--suite", SUITE)
    assert found["after"] == {"when": "live", "snapshots": ["live"]}
    assert [(each["name"], each["kind"]) for each in found["packages"]] == [("moved", "up")]


def test_an_archive_that_is_remembered_here_alone(hamlet: Hamlet, tmp_path: Path, capsys: Capture) -> None:
    row = f'[archives.vendor]\nfamily = "apt"\nhistory = "captured"\nmirrors = ["{hamlet.now.url}/debian"]\n'
    with (tmp_path / "config.toml").open("a", encoding="utf-8") as file:
        file.write(row)

    def observe() -> str:
        assert main(["observe", "vendor", INRELEASE, "--json"]) == 0
        instant: str = json.loads(capsys.readouterr().out)["instant"]
        return instant

    first = observe()
    show(hamlet, "20240711T000000Z", SuitePlan(SUITE, (made_up("kept", "2", 9),)))
    time.sleep(1.0)  # an observation is known by its second
    second = observe()
    assert lines(capsys, "vendor", first, second, "--suite", SUITE) == [
        "name   arch   before  after  kind",
        "kept   amd64  1       2      up",
        "moved  amd64  2       -      went",
        "weak   amd64  1       -      went",
        f"{first} to {second}: 2 went, 1 up",
    ]
    assert refused(capsys, "vendor", "2024-06-01", second, "--suite", SUITE)


def test_on_a_terminal_the_file_that_is_waited_for_is_shown(
    hamlet: Hamlet, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["diff", "debian", FIRST, SECOND, "--suite", SUITE]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith(": 1 up\n")
    with diff._reporting() as progress:
        progress.advance("dists/[/x]/InRelease", 0, None)  # no markup


# --- pacman ---------------------------------------------------------------------------------------------------------


def test_pacman_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    world = ArchWorld(tmp_path / "world")
    try:
        monkeypatch.setenv("SNAPPROXY_CONFIG", str(world.configuration(tmp_path / "settings")))
        asked = ("archlinux", arch.FIRST, arch.SECOND)
        assert lines(capsys, *asked, "--repo", "core", "--arch", "x86_64") == [
            "name   arch  before  after  kind",
            "dummy  any   1.0-1   2.0-1  up",
            "2024/06/03 to 2024/06/09: 1 up",
        ]
        assert refused(capsys, *asked, "--repo", "community", "--arch", "x86_64")[1:] == [
            "  No source of archlinux/2024/06/03 has community/os/x86_64/community.db.",
            "  Check the path and the requested time.",
        ]
        assert refused(capsys, *asked, code=2)[0] == "snapproxy: No repository was named"
        assert refused(capsys, *asked, "--suite", "core", code=2)[0] == "snapproxy: A pacman archive has no suites"
    finally:
        world.close()


# --- rpm ------------------------------------------------------------------------------------------------------------


def test_rpm_metadata_of_two_packings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    world = RpmWorld(tmp_path / "world")
    try:
        monkeypatch.setenv("SNAPPROXY_CONFIG", str(world.configuration(tmp_path / "settings")))
        asked = (rpm_world.ARCHIVE, rpm_world.FIRST, rpm_world.SECOND, "--repo", REPOSITORY)
        for more in ((), ("--arch", "x86_64")):
            assert lines(capsys, *asked, *more)[:-1] == [
                "name   arch    before  after  kind",
                "hello  noarch  1.0-1   1.1-1  up",
            ]
        assert json_of(capsys, *asked, "--source")["packages"][0]["name"] == "hello"
        assert refused(capsys, *asked[:3], "--repo", "elsewhere")[0] == "snapproxy: Not in the archive at that time"
    finally:
        world.close()


# --- apk ------------------------------------------------------------------------------------------------------------


def test_apk_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    world = AlpineWorld(tmp_path / "world")
    try:
        monkeypatch.setenv("SNAPPROXY_CONFIG", str(world.configuration(tmp_path / "settings")))
        asked = ("alpine", alpine_world.FIRST, alpine_world.SECOND)
        assert lines(capsys, *asked, "--repo", alpine_world.REPOSITORY, "--arch", "x86_64")[:-1] == [
            "name   arch    before    after   kind",
            "gone   x86_64  1_rc1-r0  -       went",
            "hello  x86_64  1.0-r0    1.1-r0  up",
        ]
        assert refused(capsys, *asked, code=2)[1] == "  Name repositories by folder, for example: --repo v3.20/main"
    finally:
        world.close()
