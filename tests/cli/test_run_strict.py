"""A client that requests no root is reported in the last line of a run, and fails a run that records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.cli import main
from snapproxy.cli.summary import RunSummary
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import Record, RecordEntry
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet, later

AT, AFTER = later(FIRST, 3600), later(FIRST, 7200)
GET = "curl -sf -o /dev/null http://ftp.debian.org/debian/"
NOTHING = RunSummary(0, 0, 0, 0, 0, 0, 0, 0, 0)

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(hamlet_settings: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a shell command under `run`; return its exit code and stderr."""

    def call(*options: str, script: str = "true") -> tuple[int, str]:
        code = main(["run", "--at", AT, *options, "--", "sh", "-c", script])
        return code, capfd.readouterr().err

    return call


def root(archive: str, when: str) -> RecordEntry:
    return RecordEntry(archive, when, when, INRELEASE, Role.ROOT, Proof.GPG, 1, "0" * 64)


def test_the_line_of_a_client_that_asked_for_nothing() -> None:
    assert NOTHING.line().endswith("; no root was served: a client may have used metadata of another time")
    assert "root" not in replace(NOTHING, roots=1).line()


def test_packages_of_an_archive_whose_root_nobody_requested_are_reported() -> None:
    """The root of one archive says nothing about the metadata that a client has of another one."""
    summary = replace(NOTHING, files=5, roots=1, without_root=("fedora",))
    assert summary.line().endswith("; no root of fedora was requested: a client may have used metadata of another time")


@pytest.mark.parametrize(("when", "is_known"), [(AT, True), (AFTER, False)])
def test_a_capture_may_have_the_root_from_an_earlier_command_at_the_same_time(when: str, is_known: bool) -> None:
    record = Record((root("debian", when),), {"debian": "apt"})
    summary = replace(NOTHING, files=1, without_root=("debian",)).with_roots_of(record, AT)
    assert (summary.unasked == "") == is_known


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 0),
        (("--strict",), 1),
        (("--lock", "a.json"), 1),
        (("--capture", "mine"), 1),
        (("--lock", "a.json", "--no-strict"), 0),
        (("--capture", "mine", "--no-strict"), 0),
    ],
)
def test_a_run_that_records_fails_if_no_root_was_requested(
    run: Run, hamlet: Hamlet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    for script, reason in (("true", "no root was served"), (GET + hamlet.edition.kept.path, "no root of debian was")):
        found, err = run(*options, script=script)
        assert found == code, err
        assert reason in err.splitlines()[-1]
        assert ("it is not known to be pinned" in err) == bool(code)
        assert ("Make the client ask: apt-get update, dnf --refresh" in err) == bool(code)


def test_a_failed_check_is_the_exit_code_of_the_summary(run: Run, tmp_path: Path) -> None:
    assert run("--strict", "--summary", f"{tmp_path}/used")[0] == 1
    assert json.loads((tmp_path / "used").read_text())["exit_code"] == 1


def test_the_exit_code_of_the_command_takes_precedence(run: Run) -> None:
    assert run("--strict", script="exit 7")[0] == 7


def test_the_second_command_of_a_capture_needs_no_root_of_its_own(run: Run, hamlet: Hamlet) -> None:
    """`apt-get update` and `apt-get install` may be two commands."""
    assert run("--capture", "mine", script=GET + INRELEASE)[0] == 0
    code, err = run("--capture", "mine", script=GET + hamlet.edition.kept.path)
    assert code == 0
    assert "no root" not in err


def test_a_refused_https_source_is_named_at_once_and_in_the_last_line(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    script = "for i in 1 2; do curl -s https://download.example/x; done; curl -s http://other.example/x -o /dev/null"
    _, err = run(script=f"{script}; {GET}{INRELEASE}")
    said = "Requests to https://download.example are refused. CONNECT is off: write http:// for https:// in the sources"
    assert [record.getMessage() for record in caplog.records if record.name == "snapproxy.web.gateway"] == [said]
    assert err.splitlines()[-1].endswith(
        "3 refused (3 x 403), by host: http://other.example (1), https://download.example (2)"
    )


def test_apt_fails_for_an_https_source_without_retries(run: Run, tmp_path: Path) -> None:
    """apt repeats a refused CONNECT for two minutes. Its https method of a run fails finally, and notes the host."""
    for folder in ("lists/partial", "archives/partial", "parts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "list").write_text("deb https://download.example/x stable main\n", encoding="utf-8")
    places = {
        "Dir::State::lists": "lists",
        "Dir::Cache::archives": "archives",
        "Dir::Etc::sourcelist": "list",
        "Dir::Etc::sourceparts": "parts",
    }
    options = " ".join(f"-o {name}={tmp_path}/{place}" for name, place in places.items())
    code, err = run(script=f"apt-get {options} -o APT::Sandbox::User=root -o APT::Update::Error-Mode=persistent update")
    assert code == 100, err
    assert re.search(r"; (\d) refused \(\1 x 403\), by host: https://download\.example \(\1\)", err.splitlines()[-1]), (
        err
    )


@pytest.mark.parametrize(
    ("options", "settings", "is_replaced"),
    [
        ((), "", True),
        (("--pass", "download.example"), "", False),
        ((), "connect = true\n", False),
        ((), 'pass = ["download.example:443"]\n', False),
    ],
    ids=["a pin", "--pass", "connect", "pass"],
)
def test_apts_https_method_is_replaced_unless_an_https_request_may_be_allowed(
    run: Run, hamlet_settings: Path, options: tuple[str, ...], settings: str, *, is_replaced: bool
) -> None:
    hamlet_settings.write_text(settings + hamlet_settings.read_text(encoding="utf-8"), encoding="utf-8")
    code, err = run(*options, script="grep -q Dir::Bin::Methods::https $APT_CONFIG")
    assert (code == 0) == is_replaced, err


def test_the_line_names_a_few_of_many_hosts() -> None:
    hosts = {f"https://h{number}": 1 for number in range(8)}
    line = replace(NOTHING, roots=1, refused=8, refused_by_status={"403": 8}, refused_hosts=hosts).line()
    assert line.endswith(
        "8 refused (8 x 403), by host: " + ", ".join(f"{host} (1)" for host in list(hosts)[:5]) + " and 3 more"
    )
