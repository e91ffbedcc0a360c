"""The verb `bisect`: which snapshots it runs, what ends it, what it prints, and how it continues."""

from __future__ import annotations

import dataclasses
import fcntl
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import bisect, bisect_runs, main
from snapproxy.cli.bisect_log_file import BisectLog
from snapproxy.cli.run_command import FinishedRun
from snapproxy.cli.run_mode import RunMode
from snapproxy.cli.summary import RunSummary
from snapproxy.client_config.apt_mixture import AptMixture
from snapproxy.config import load
from snapproxy.core.model import Proof, Refusal, Role
from snapproxy.core.record import Record, RecordEntry
from tests.fakes.hamlet import DUMPS, FIRST, later

SUMMARY = RunSummary(1, 10, 1, 0, 0, 0, 0, 0, 0, roots=1)
SIX_HOURS = 6 * 3600
SNAPSHOTS = [later(FIRST, turn * SIX_HOURS) for turn in range(DUMPS)]
"""Snapshots 0 to 9 of the tiny archive."""
GOOD, BAD = SNAPSHOTS[0], SNAPSHOTS[-1]


@dataclass
class Command:
    """A command whose exit code depends on the time, and the times at which it ran."""

    code: Callable[[str], int] = lambda time: int(time >= SNAPSHOTS[6])
    version: Callable[[str], str] = lambda time: "2" if time >= SNAPSHOTS[6] else "1"
    refused: Mapping[str, int] = field(default_factory=dict)
    roots: int = 1
    ran: list[str] = field(default_factory=list)

    def run(self, _config: object, mode: RunMode, command: tuple[str, ...], **options: Any) -> FinishedRun:
        assert command == ("make", "test")
        assert options["output"] == 2, "stdout has the result only"
        assert mode.is_recorded
        self.ran.append(mode.time)
        path = f"pool/main/t/tool/tool_{self.version(mode.time)}_amd64.deb"
        entry = RecordEntry("debian", mode.time, mode.time, path, Role.PACKAGE, Proof.GPG, 1, "a" * 64)
        summary = dataclasses.replace(SUMMARY, refused_by_status=self.refused, roots=self.roots)
        return FinishedRun(self.code(mode.time), summary, Record((entry,), {"debian": "apt"}))

    @property
    def places(self) -> list[int]:
        """The snapshots that it ran at."""
        return [SNAPSHOTS.index(time) for time in self.ran]


@pytest.fixture
def command(hamlet_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    command = Command()
    monkeypatch.setattr(bisect_runs, "run_pinned", command.run)
    return command


def bisected(*options: str, good: str = GOOD, bad: str = BAD, archive: str = "debian") -> int:
    named = ("--archive", archive) if archive else ()
    return main(["bisect", "--good", good, "--bad", bad, *named, *options, "--", "make", "test"])


def test_the_snapshot_and_the_package_are_found(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert bisected() == 0
    assert command.places == [4, 6, 5], "9 snapshots take at most 4 runs, and none is run twice"
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        f"last good snapshot: debian/{SNAPSHOTS[5]} ({SNAPSHOTS[5]})",
        f"first bad snapshot: debian/{SNAPSHOTS[6]} ({SNAPSHOTS[6]})",
        "Packages that the command downloaded and that differ:",
        "name  arch  before  after  kind  archive",
        "tool  -     1       2      up    debian",
        "The regression is in the package tool.",
    ]
    assert f"snapproxy: run 1: {SNAPSHOTS[4]} is good (exit code 0)" in output.err


def test_one_json_document_is_printed(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert bisected("--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "result": "found",
        "direction": "regression",
        "good": {"at": SNAPSHOTS[5], "snapshots": {"debian": SNAPSHOTS[5]}},
        "bad": {"at": SNAPSHOTS[6], "snapshots": {"debian": SNAPSHOTS[6]}},
        "skipped": [],
        "runs": 3,
        "mixtures": 0,
        "cause": ["tool"],
        "suspects": ["tool"],
        "note": "",
        "packages": [
            {
                "archive": "debian",
                "name": "tool",
                "architecture": "",
                "source": "",
                "kind": "up",
                "before": ["1"],
                "after": ["2"],
                "used": True,
            }
        ],
    }


def test_a_skipped_snapshot_is_replaced_by_a_neighbour(command: Command) -> None:
    command.code = lambda time: 125 if time == SNAPSHOTS[4] else int(time >= SNAPSHOTS[6])
    assert bisected() == 0
    assert command.places[:2] == [4, 5]


def test_skipped_snapshots_leave_a_range(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command.code = lambda time: 125 if SNAPSHOTS[3] <= time <= SNAPSHOTS[7] else int(time > SNAPSHOTS[7])
    assert bisected() == 3
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"The change is between them: the 5 snapshots in between were skipped ({SNAPSHOTS[3]} to {SNAPSHOTS[7]})."
    )


def test_a_fix_is_found_in_the_other_direction(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command.code = lambda time: int(time < SNAPSHOTS[6])
    assert bisected(good=BAD, bad=GOOD) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"last bad snapshot: debian/{SNAPSHOTS[5]}")
    assert out[1].startswith(f"first good snapshot: debian/{SNAPSHOTS[6]}")
    assert out[-2:] == ["tool  -     1       2      up    debian", "The fix is in the package tool."]


def test_the_archives_are_those_of_the_good_end(command: Command) -> None:
    assert bisected(archive="") == 0
    assert command.places == [0, 4, 6, 5]


def test_an_end_that_was_not_run_is_run_for_its_packages(command: Command) -> None:
    command.code = lambda time: int(time >= SNAPSHOTS[1])
    assert bisected() == 0
    assert command.places == [4, 2, 1, 0]


def test_trusted_ends_are_not_run_and_checked_ones_are(command: Command) -> None:
    assert bisected("--check-ends") == 0
    assert command.places == [0, 9, 4, 6, 5]


@pytest.mark.parametrize(("code", "end", "places"), [(1, "good end is bad", [0]), (0, "bad end is good", [0, 9])])
def test_an_end_with_the_wrong_verdict_is_refused(
    command: Command, capsys: pytest.CaptureFixture[str], code: int, end: str, places: list[int]
) -> None:
    command.code = lambda _time: code
    assert bisected("--check-ends") == 1
    assert command.places == places
    assert f"snapproxy: The {end}\n" in capsys.readouterr().err


def test_an_interrupted_search_continues_from_its_log(command: Command, tmp_path: Path) -> None:
    log, code = tmp_path / "bisect.log", command.code
    command.code = lambda time: 130 if time == SNAPSHOTS[6] else code(time)
    assert bisected("--log", str(log)) == 1
    assert command.places == [4, 6]
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"at":"2024')  # cut off by a crash
    command.code, command.ran = code, []
    assert bisected("--log", str(log)) == 0
    assert command.places == [6, 5]
    assert log.read_bytes().startswith(whole)
    command.ran = []
    assert bisected("--log", str(log)) == 0
    assert command.places == [], "nothing is run again"


def test_the_log_of_another_search_is_refused(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "bisect.log"
    assert bisected("--log", str(log)) == 0
    before = log.read_bytes()
    assert bisected("--log", str(log), bad=SNAPSHOTS[8]) == 2
    err = capsys.readouterr().err
    assert "The log belongs to another bisection" in err
    assert f"Its --bad is {BAD}, now {SNAPSHOTS[8]}." in err
    assert log.read_bytes() == before


@pytest.mark.parametrize("text", ["important notes", "important notes\n"])
def test_a_file_that_is_not_a_log_is_kept(command: Command, tmp_path: Path, text: str) -> None:
    log = tmp_path / "notes"
    log.write_text(text, encoding="utf-8")
    assert bisected("--log", str(log)) == 1
    assert log.read_text(encoding="utf-8") == text
    assert command.places == []


def test_a_log_in_use_is_refused(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "bisect.log"
    with log.open("w", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert bisected("--log", str(log)) == 2
    assert "Another process uses this log" in capsys.readouterr().err


@pytest.mark.parametrize("code", [128, 130, 255])
def test_a_code_above_127_ends_the_search(command: Command, capsys: pytest.CaptureFixture[str], code: int) -> None:
    command.code = lambda _time: code
    assert bisected() == 1
    assert command.places == [4]
    assert f"its exit code is {code}" in capsys.readouterr().err


@pytest.mark.parametrize("status", sorted(bisect_runs.FAILED_ANSWERS))
def test_a_failure_of_an_upstream_is_not_a_bad_snapshot(
    command: Command, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    command.code, command.refused = (lambda _time: 100), {status: 2, "404": 1}
    assert bisected() == 1
    assert command.places == [4]
    assert f"snapproxy refused files (2 x {status})" in capsys.readouterr().err


def test_a_mixture_that_an_upstream_refused_is_not_in_the_log(command: Command) -> None:
    """The next run of the same command line runs it again."""
    command.code, command.refused = (lambda _time: 100), {"503": 3}
    log, (good_at, later_at) = BisectLog(), (1717200000, 1717200001)
    runner = bisect_runs.TrialRunner(load(None), ("make", "test"), (), log)
    with pytest.raises(bisect_runs.NoVerdictError, match="failed after files were refused"):
        runner.mixture(good_at, AptMixture(later_at, (), {"tool": "2"}), {"tool": "2"})
    assert not log.mixtures


def test_an_absent_file_may_be_the_reason_of_a_bad_snapshot(command: Command) -> None:
    command.refused = {"404": 1, "403": 1}
    assert bisected() == 0


def test_a_run_that_requested_no_root_is_no_verdict(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command.roots = 0
    assert bisected() == 1
    assert "The command is not known to be pinned" in capsys.readouterr().err


def test_a_refused_instant_is_skipped(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another archive may have a gap where one has a snapshot."""
    real = bisect.common_time

    async def refusing(app: Any, archives: tuple[str, ...], when: Any) -> Any:
        return Refusal(410, "in a gap") if when.text == SNAPSHOTS[4] else await real(app, archives, when)

    monkeypatch.setattr(bisect, "common_time", refusing)
    assert bisected() == 0
    assert 4 not in command.places
    assert f"{SNAPSHOTS[4]} is skipped: in a gap" in capsys.readouterr().err


def test_a_snapshot_that_is_marked_bad_is_not_run(command: Command) -> None:
    assert main(["bad", "debian", SNAPSHOTS[4], "--because", "broken"]) == 0
    assert bisected() == 0
    assert 4 not in command.places


@pytest.mark.parametrize(
    ("good", "bad", "code", "reason"),
    [
        (GOOD, GOOD, 2, "--good and --bad are the same time"),
        (GOOD, later(GOOD, 60), 1, "There is no snapshot between the ends"),
        (GOOD, later(BAD, 5 * 86400), 1, "gap"),
    ],
)
def test_ends_without_a_search_are_refused(
    command: Command, capsys: pytest.CaptureFixture[str], good: str, bad: str, code: int, reason: str
) -> None:
    assert bisected(good=good, bad=bad) == code
    assert command.places == []
    assert reason in capsys.readouterr().err


def test_the_ends_need_not_be_snapshots(command: Command) -> None:
    """The state at an end is that of the snapshot before it."""
    good, bad = later(SNAPSHOTS[5], 60), later(SNAPSHOTS[6], 60)
    assert bisected(good=good, bad=bad) == 0
    assert command.ran == [good, SNAPSHOTS[6]]


def test_a_skipped_end_cannot_be_checked(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command.code = lambda _time: 125
    assert bisected("--check-ends") == 1
    assert "The good end cannot be checked" in capsys.readouterr().err
