"""`reproduce --from` prefetches lists, runs the command at their time, and compares the packages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.capture.lock_reader import decode
from snapproxy.cli import main
from tests.fakes.hamlet import FIRST, INRELEASE, SECOND, SUITE, Hamlet, later

Reproduce = Callable[..., tuple[int, str, str]]

AT = later(FIRST, 60)
_SEARCH = ("--archive", "debian", "--suite", SUITE)
"""The tiny archive has no other suite, and each missing one costs requests."""
KEPT, OLD, NEW = ("kept", "1"), ("moved", "1"), ("moved", "2")


def status(*packages: tuple[str, str]) -> str:
    """Return a dpkg status file with these packages, each a name and a version."""
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in packages
    )


def get(*packages: tuple[str, str]) -> str:
    """Return a command that requests the root and these packages."""
    paths = [INRELEASE, *(f"pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb" for name, version in packages)]
    return ": >file && " + " && ".join(f"curl -sf http://ftp.debian.org/debian/{path} >>file" for path in paths)


@pytest.fixture
def reproduce(
    hamlet_settings: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Reproduce:
    """Run a shell command twice, in a folder of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def call(script: str, *options: str) -> tuple[int, str, str]:
        code = main(["reproduce", *options, *_SEARCH, "--output", "file", "--", "sh", "-c", script])
        output = capfd.readouterr()
        return code, output.out, output.err

    return call


def write(file: Path, *packages: tuple[str, str]) -> str:
    file.write_text(status(*packages))
    return str(file)


def test_a_list_is_prefetched_and_its_time_is_that_of_the_runs(
    reproduce: Reproduce, hamlet: Hamlet, tmp_path: Path
) -> None:
    listed = write(tmp_path / "status", KEPT, OLD)
    code, out, err = reproduce(get(KEPT, OLD), "--from", listed, "--at", AT, "--json")
    assert code == 0, err
    assert json.loads(out)["list"] == {"not_requested": [], "not_listed": []}
    assert "snapproxy: reproduced offline from the lock " in err
    assert "0 from upstream (0 requests, 0 bytes); 0 unverified (online)" in err
    whole = b"".join(hamlet.content(path, FIRST).data for path in (INRELEASE, hamlet.edition.kept.path))
    assert Path("file").read_bytes().startswith(whole)
    assert [path.name for path in Path().iterdir()] == ["file"], "the lock is not kept"


def test_the_lock_is_written_where_it_is_named(reproduce: Reproduce, tmp_path: Path) -> None:
    listed = write(tmp_path / "status", OLD)
    code, _, err = reproduce(get(OLD), "--from", listed, "--at", AT, "--lock", f"{tmp_path}/a.json")
    assert code == 0, err
    assert len(decode((tmp_path / "a.json").read_bytes()).entries) == 2
    code, _, err = reproduce(get(OLD), "--from", f"{tmp_path}/a.json")
    assert code == 0, err  # a lock states its time


def test_packages_that_only_the_list_or_only_the_command_has_are_reported(reproduce: Reproduce, tmp_path: Path) -> None:
    listed = write(tmp_path / "status", OLD)
    code, out, err = reproduce(get(KEPT), "--from", listed, "--at", AT, "--json")
    assert code == 0, err
    assert json.loads(out)["list"] == {
        "not_requested": [{"archive": "debian", "path": "pool/main/m/moved/moved_1_amd64.deb"}],
        "not_listed": [{"archive": "debian", "path": "pool/main/k/kept/kept_1_amd64.deb"}],
    }
    assert "snapproxy: packages of the list that were not requested (1): moved_1_amd64.deb\n" in err
    assert "snapproxy: requested packages that are not in the list (1): kept_1_amd64.deb\n" in err


def test_lists_of_several_times_require_one(reproduce: Reproduce, tmp_path: Path) -> None:
    lists: list[str] = []
    for package, when in ((OLD, FIRST), (NEW, SECOND)):
        lock, listed = f"{tmp_path}/{when}.json", write(tmp_path / "status", package)
        assert reproduce(get(package), "--from", listed, "--at", later(when, 60), "--lock", lock)[0] == 0
        lists += ("--from", lock)
    code, _, err = reproduce("touch ran", *lists)
    assert code == 2
    assert "No single instant has every package of the list, and a run has one time" in err
    assert f"debian at {later(FIRST, 60)}, debian at {later(SECOND, 60)}" in err
    assert not Path("ran").exists()
    code, _, err = reproduce(get(NEW), *lists, "--at", later(SECOND, 60))
    assert code == 0, err
    assert "packages of the list that were not requested (1): moved_1_amd64.deb" in err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "No lock and no list was named"),
        (("--at", FIRST), "No lock and no list was named"),
        (("--from", "/nonexistent/list"), "The list cannot be read"),
        (("--from", "/dev/null", "--at", "live"), "the time must be an instant"),
        (("--from", "/dev/null", "--lock", "/nonexistent/lock"), "The lock cannot be written"),
    ],
)
def test_incomplete_arguments_are_refused(reproduce: Reproduce, options: tuple[str, ...], reason: str) -> None:
    code, _, err = reproduce("touch ran", *options)
    assert code != 0
    assert reason in err
    assert not Path("ran").exists()


def test_an_unknown_entry_is_reported_before_the_command_runs(reproduce: Reproduce, tmp_path: Path) -> None:
    listed = write(tmp_path / "status", KEPT, ("kept", "99"))
    code, out, err = reproduce(": >ran", "--from", listed, "--at", AT)
    assert code == 1
    assert "not found: 1" in out + err
    assert "kept 99 amd64" in out + err
    assert not Path("ran").exists()
