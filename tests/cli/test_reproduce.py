"""`reproduce` runs a command online and offline from the lock, and reports the differences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.capture.lock_reader import decode
from snapproxy.cli import main, outputs
from snapproxy.errors import ConfigurationError
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, later

AT = later(FIRST, 3600)
GET = f"curl -sf http://ftp.debian.org/debian/{INRELEASE}"
MORE = f"curl -s http://ftp.debian.org/debian/{PACKAGES} >/dev/null"

Reproduce = Callable[..., tuple[int, str, str]]


@pytest.fixture
def reproduce(
    hamlet_settings: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Reproduce:
    """Run a shell command twice, in a folder of its own; the lock is `a.json` beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def call(script: str, *options: str) -> tuple[int, str, str]:
        code = main(["reproduce", "--lock", f"{tmp_path}/a.json", *options, "--", "sh", "-c", script])
        output = capfd.readouterr()
        return code, output.out, output.err

    return call


def test_two_runs_that_are_served_the_same_are_the_same(reproduce: Reproduce, hamlet: Hamlet, tmp_path: Path) -> None:
    code, _, err = reproduce(f"{GET} >/dev/null", "--at", AT)
    assert code == 0, err
    assert "snapproxy: reproduced offline from the lock " in err
    assert [each.path for each in decode((tmp_path / "a.json").read_bytes()).entries] == [INRELEASE]
    hamlet.log.reset_counts()
    assert reproduce(f"{GET} >/dev/null")[0] == 0, "the lock is there now, and says the time"


def test_a_command_that_asks_for_something_else_the_second_time_is_told(reproduce: Reproduce) -> None:
    code, out, err = reproduce(f"{GET} >/dev/null; test -e once || {MORE}; touch once", "--at", AT)
    assert code == 1
    assert [line.split()[:3] for line in out.splitlines()] == [["removed", "debian", PACKAGES]]
    assert "the second run differs from the lock" in err


@pytest.mark.parametrize(
    ("script", "rows"),
    [
        ("true", [(INRELEASE, "online and offline"), (PACKAGES, "online and offline")]),
        (f"{GET} >/dev/null", [(PACKAGES, "online and offline")]),
        (f"{GET} >/dev/null; test -e once || {MORE}; touch once", [(PACKAGES, "offline")]),
    ],
)
def test_a_command_that_does_not_request_the_files_of_the_lock_reproduces_nothing(
    reproduce: Reproduce, monkeypatch: pytest.MonkeyPatch, script: str, rows: list[tuple[str, str]]
) -> None:
    """`true` has equal results online and offline, whatever the lock has. Nothing may be attested then."""
    monkeypatch.setattr("snapproxy.cli.reproduce.attest", lambda *_: pytest.fail("attested"))
    assert reproduce(f"{GET} >/dev/null; {MORE}", "--at", AT)[0] == 0
    attested = ("--output", "file", "--attest", f"docker://127.0.0.1:1/image@sha256:{'0' * 64}", "--json")
    code, out, err = reproduce(f"{script}; echo equal > file", *attested)
    assert code == 1
    assert [(row[0], *row[2:]) for row in json.loads(out)["requests"]] == [("not requested", *row) for row in rows]
    assert json.loads(out)["differences"] == []
    assert "snapproxy: not reproduced: the requests of the two runs differ from the files of the lock " in err


def test_a_file_that_only_the_first_run_requested_is_not_in_the_lock(reproduce: Reproduce) -> None:
    """The second run was refused that file, and its command did not mind."""
    assert reproduce(f"{GET} >/dev/null", "--at", AT)[0] == 0
    code, out, _ = reproduce(f"{GET} >file; {MORE}", "--output", "file")
    assert code == 1
    assert out.split() == ["not", "in", "the", "lock", "debian", PACKAGES, "online"]


def test_equal_outputs_leave_no_trace(reproduce: Reproduce) -> None:
    script = f"mkdir -p out/deep && {GET} > out/deep/file && ln -sf file out/deep/link && {GET} > one"
    code, out, _ = reproduce(script, "--at", AT, "--output", "out", "--output", "one", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["differences"] == []
    assert set(said["outputs"]) == {"out", "one"}
    assert sorted(path.name for path in Path().iterdir()) == ["one", "out"]


def test_outputs_that_differ_are_named_and_kept(reproduce: Reproduce) -> None:
    script = f"mkdir -p out; {GET} > out/same; date +%N > out/time; test -e first || touch out/only; touch first"
    code, out, _ = reproduce(script, "--at", AT, "--output", "out")
    assert code == 1
    assert [line.split()[:2] for line in out.splitlines()] == [["removed", "out/only"], ["changed", "out/time"]]
    assert Path("out.snapproxy-online/time").read_text() != Path("out/time").read_text()


def test_an_output_that_is_not_made_anew_is_no_reproduction(reproduce: Reproduce) -> None:
    code, _, err = reproduce(f"test -e done || {GET} > file; touch done", "--at", AT, "--output", "file")
    assert code == 1
    assert "The command did not write its output" in err


@pytest.mark.parametrize("script", ["exit 3", f"{GET} >/dev/null; test -e once && exit 3; touch once"])
def test_a_run_that_fails_is_told(reproduce: Reproduce, script: str) -> None:
    code, _, err = reproduce(script, "--at", AT)
    assert code == 1
    assert "The command failed o" in err
    assert "Its exit code is 3" in err


def test_the_second_run_gets_what_the_lock_holds_and_nothing_else(reproduce: Reproduce, hamlet: Hamlet) -> None:
    """The first run may request files that the lock lacks; then the second run fails."""
    assert reproduce(f"{GET} >/dev/null", "--at", AT)[0] == 0
    code, _, err = reproduce(f"{GET} >/dev/null && curl -sf http://ftp.debian.org/debian/{PACKAGES} >/dev/null")
    assert code == 1
    assert "The command failed offline from the lock" in err


def test_a_lock_of_another_time_is_not_mixed_up(reproduce: Reproduce, hamlet: Hamlet) -> None:
    reproduce(f"{GET} >/dev/null", "--at", SECOND)
    code, _, _ = reproduce(f"{GET} > file", "--output", "file")
    assert code == 0
    assert Path("file").read_bytes() == hamlet.content(INRELEASE, SECOND).data


@pytest.mark.parametrize("path", [".", "..", "/"])
def test_what_cannot_be_moved_aside_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError):
        outputs.check([Path(path)])


def test_an_output_is_named_once() -> None:
    with pytest.raises(ConfigurationError):
        outputs.check([Path("a/b"), Path("a")])
    with pytest.raises(ConfigurationError):
        outputs.check([Path("a"), Path("a")])
    outputs.check([Path("a"), Path("b/a")])


def test_a_command_that_is_not_there_has_the_shells_code(
    hamlet_settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "--lock", f"{tmp_path}/a.json", "--at", AT, "--", f"{tmp_path}/absent"]) == 127
    assert not (tmp_path / "a.json").exists()
