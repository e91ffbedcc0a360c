"""The place where a solver's programs run: the words before a command line, and the private folder in a root."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.solvers.bounded_process import ProcessLimits
from snapproxy.solvers.in_root import PlacedPrograms, ProgramPlace, place, prefix_of
from snapproxy.solvers.model import SolverError

LIMITS = ProcessLimits(60.0, 1 << 20, threading.Event())


@pytest.mark.parametrize(
    ("root", "is_superuser", "words"),
    [
        ("", True, ()),
        ("", False, ("unshare", "--map-root-user")),
        ("/r", True, ("chroot", "/r")),
        ("/r", False, ("unshare", "--map-root-user", "chroot", "/r")),
    ],
)
def test_programs_run_as_root_in_a_root(root: str, is_superuser: bool, words: tuple[str, ...]) -> None:
    assert prefix_of(root, is_superuser=is_superuser) == words


def test_without_a_root_the_given_folder_is_used(tmp_path: Path) -> None:
    with place("", tmp_path) as where:
        assert (where.folder, where.inside, where.root) == (tmp_path, str(tmp_path), "")
    assert tmp_path.is_dir()


def test_the_private_folder_is_in_the_roots_tmp_and_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    with place(str(tmp_path), Path("/nowhere")) as where:
        assert where.folder.parent == tmp_path / "tmp"
        assert where.inside == f"/tmp/{where.folder.name}"
        (where.folder / "file").touch()
    assert not list((tmp_path / "tmp").iterdir())


def test_a_root_without_a_folder_tmp_of_its_own_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for number, prepare in enumerate((lambda path: None, lambda path: path.symlink_to(outside), Path.touch)):
        top = tmp_path / str(number)
        top.mkdir()
        prepare(top / "tmp")
        with pytest.raises(SolverError, match="root of the release cannot be used"), place(str(top), tmp_path):
            raise AssertionError
    assert not list(outside.iterdir())


def test_a_missing_program_is_named_with_a_hint(tmp_path: Path) -> None:
    missing_here = ProgramPlace(tmp_path, str(tmp_path))
    missing_there = ProgramPlace(tmp_path, "/tmp/x", "/r", ("env",))
    for where in (missing_here, missing_there):
        with pytest.raises(SolverError, match="no program no-such-program") as missing:
            PlacedPrograms(where, LIMITS, SystemClock()).run("no-such-program", hint="Install it.")
        assert missing.value.hint == "Install it."


def test_a_program_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    script = "echo Operation not permitted >&2; exit 1 #"
    refusing = ProgramPlace(tmp_path, str(tmp_path), prefix=("sh", "-c", script))
    with pytest.raises(SolverError, match="sh cannot be run\nOperation not permitted") as failed:
        PlacedPrograms(refusing, LIMITS, SystemClock()).version("sh", hint="Install it.")
    assert str(failed.value.hint).startswith("Install it.")


def test_programs_get_no_proxy_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://elsewhere:1")
    done = PlacedPrograms(ProgramPlace(tmp_path, str(tmp_path)), LIMITS, SystemClock()).run("env")
    assert {line.partition("=")[0] for line in done.out.splitlines()} == {"PATH", "LC_ALL", "HOME", "TMPDIR"}
