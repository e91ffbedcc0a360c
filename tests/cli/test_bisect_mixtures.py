"""Which of several changed packages is named, and when none is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from snapproxy.cli.application import ChangedPackage
from snapproxy.cli.bisect_mixtures import Blame, blame
from snapproxy.cli.bisect_runs import NoVerdictError, has_versions
from snapproxy.cli.child_env import write_apt_config
from snapproxy.client_config.apt_mixture import AptAdditions, AptMixture
from snapproxy.core.model import Archive, Instant
from snapproxy.core.package_diff import ChangeKind, PackageChange
from snapproxy.jobs.bisect_log import FinishedTrial, MixtureTrial
from snapproxy.jobs.used_packages import UsedFiles, UsedList, UsedPackage
from tests.fakes.apt_root import AptRoot

ARCHIVES = {"debian": Archive("debian", "apt", "snapshots"), "archlinux": Archive("archlinux", "pacman", "dated")}
GOOD, BAD = 1717200000, 1717300000


class Runner:
    """Tests mixtures: `verdict` maps the packages of the bad snapshot to the exit code, None if it cannot be made."""

    def __init__(self, verdict: Callable[[frozenset[str]], int | None]) -> None:
        self._verdict = verdict
        self.tested: list[tuple[frozenset[str], Mapping[str, str]]] = []

    def mixture(self, good: Instant, mixture: AptMixture, expected: Mapping[str, str]) -> MixtureTrial:
        packages = frozenset(mixture.versions)
        assert mixture.files == (("debian", "dists/stable/InRelease"),)
        self.tested.append((packages, expected))
        code = self._verdict(packages)
        return MixtureTrial(good, mixture.time, packages, code or 0, is_made=code is not None)


def trial(at: Instant, *packages: str) -> FinishedTrial:
    used = tuple(UsedPackage("debian", name, "amd64", version) for name, version in (each.split() for each in packages))
    files = UsedFiles(("debian",), used, (UsedList("debian", "dists/stable/InRelease", "d"),))
    return FinishedTrial(at, int(at == BAD), files)


def changed(
    name: str, source: str = "", *, archive: str = "debian", kind: ChangeKind = ChangeKind.UP
) -> ChangedPackage:
    before = () if kind is ChangeKind.CAME else ("1:1.0",)
    change = PackageChange(name, "amd64", "", kind, before, ("1:2.0",))
    return ChangedPackage(archive, source or name, change, is_used=True)


def blamed(runner: Runner, *changes: ChangedPackage, may_mix: bool = True, is_fix: bool = False) -> Blame:
    good, bad = (BAD, GOOD) if is_fix else (GOOD, BAD)
    return blame(runner, trial(good), trial(bad), changes, ARCHIVES, may_mix=may_mix)  # type: ignore[arg-type]


def test_one_package_is_named_without_a_run() -> None:
    runner = Runner(lambda _packages: 1)
    assert blamed(runner, changed("a")) == Blame(("a",), ("a",))
    assert blamed(runner) == Blame()
    assert runner.tested == []


def test_the_cause_is_tested_alone_and_the_others_have_their_good_version() -> None:
    runner = Runner(lambda packages: int("c" in packages))
    assert blamed(runner, *map(changed, "abcd")) == Blame(("c",), ("c",))
    packages, expected = runner.tested[-1]
    assert packages == {"c"}
    assert expected == {"a": "1.0", "b": "1.0", "c": "2.0", "d": "1.0"}, "as in the names of the files"


def test_of_a_fix_the_earlier_versions_are_the_bad_ones() -> None:
    runner = Runner(lambda packages: int("b" in packages))
    assert blamed(runner, changed("a"), changed("b"), is_fix=True).cause == ("b",)
    assert runner.tested[-1][1] == {"a": "2.0", "b": "1.0"}


def test_packages_of_one_source_stay_together_first() -> None:
    runner = Runner(lambda packages: int("lib" in packages) if packages != {"lib"} else None)
    found = blamed(runner, changed("tool", "src"), changed("lib", "src"), changed("other"))
    assert found == Blame(("lib", "tool"), ("lib", "tool")), "lib needs the tool of its version"
    assert {"lib", "tool"} in [packages for packages, _ in runner.tested]


def test_a_package_that_cannot_be_tested_alone_is_a_suspect() -> None:
    found = blamed(Runner(lambda packages: None if packages == {"b"} else 0), changed("a"), changed("b"))
    assert (found.cause, found.suspects) == ((), ("b",))
    assert "could not be tested without the others" in found.note


@pytest.mark.parametrize("verdict", [lambda _packages: None, lambda _packages: 0])
def test_without_a_decision_all_are_suspects(verdict: Callable[[frozenset[str]], int | None]) -> None:
    found = blamed(Runner(verdict), changed("a"), changed("b"))
    assert (found.cause, found.suspects) == ((), ("a", "b"))
    assert found.note


def test_a_run_without_a_verdict_ends_the_search_but_not_the_report() -> None:
    def interrupted(_packages: frozenset[str]) -> int:
        raise NoVerdictError("The command ended with a code that is no verdict")

    found = blamed(Runner(interrupted), changed("a"), changed("b"))
    assert found.suspects == ("a", "b")
    assert "a code that is no verdict" in found.note


@pytest.mark.parametrize(
    ("changes", "may_mix", "note"),
    [
        ([changed("a"), changed("b")], False, "--no-mix"),
        ([changed("a", archive="archlinux"), changed("b", archive="archlinux")], True, "for apt only"),
        ([changed("a"), changed("b", archive="archlinux")], True, "for apt only"),
        ([changed("a"), changed("b", kind=ChangeKind.CAME)], True, "new, removed or too many"),
        ([changed(f"p{number}") for number in range(501)], True, "new, removed or too many"),
    ],
)
def test_what_cannot_be_mixed_is_listed(changes: list[ChangedPackage], may_mix: bool, note: str) -> None:  # a case
    runner = Runner(lambda _packages: 1)
    found = blamed(runner, *changes, may_mix=may_mix)
    assert (found.cause, runner.tested) == ((), [])
    assert set(found.suspects) == {each.change.name for each in changes}
    assert note in found.note


def test_the_version_that_a_run_downloaded_is_expected() -> None:
    """A list may have several versions, and the newest may be excluded by the user's preferences."""
    several = PackageChange("a", "amd64", "", ChangeKind.UP, ("1.1", "1.0"), ("2.1", "2.0"))
    changes = [ChangedPackage("debian", "a", several, is_used=True), changed("b")]
    runner = Runner(lambda packages: int("a" in packages))
    blame(runner, trial(GOOD, "a 1.0"), trial(BAD, "a 2.0"), changes, ARCHIVES, may_mix=True)  # type: ignore[arg-type]
    assert runner.tested[0] == ({"a"}, {"a": "2.0", "b": "1.0"})


@pytest.mark.parametrize(
    ("packages", "is_made"),
    [
        (["a 1.0", "b 2.0", "c 9"], True),
        (["a 1:1.0", "b 2.0"], True),
        (["a 2.0", "b 2.0"], False),
        (["a 1.0"], False),
        (["a 1.0", "a 2.0", "b 2.0"], False),
        ([], False),
    ],
)
def test_a_mixture_is_made_of_exactly_its_versions(packages: list[str], is_made: bool) -> None:  # a case
    assert has_versions(trial(GOOD, *packages).used, {"a": "1.0", "b": "2.0"}) is is_made


def test_apt_reads_the_callers_files_and_the_additions(tmp_path: Path) -> None:
    root = AptRoot(tmp_path / "root")
    root.deb822("Types: deb\nURIs: http://ftp.debian.org/debian\nSuites: stable\nComponents: main\n")
    (root.folder / "etc/apt/preferences.d/theirs").write_text("Package: x\nPin: version 1\nPin-Priority: 1\n")
    ours = tmp_path / "ours"
    ours.mkdir()
    additions = AptAdditions(
        "deb [trusted=yes] http://127.0.0.1:4000/debian/20240601T000000Z/ stable main\n",
        "Package: y\nPin: version 2\nPin-Priority: 1001\n",
    )
    caller = {**os.environ, **root.environment()}
    config = write_apt_config(ours, "http://x:x@127.0.0.1:4000", caller, additions=additions)
    found = root.run("apt-get", "update", "--print-uris", extra={"APT_CONFIG": str(config)})
    assert "'http://ftp.debian.org/debian/dists/stable/InRelease'" in found.out, found.text
    assert "'http://127.0.0.1:4000/debian/20240601T000000Z/dists/stable/InRelease'" in found.out
    pinned = root.run("apt-cache", "policy", extra={"APT_CONFIG": str(config)})
    assert pinned.code == 0, pinned.text
    assert {file.name for file in (ours / "preferencesparts").iterdir()} == {"00-snapproxy", "theirs"}
