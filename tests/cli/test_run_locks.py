"""`run` records into a lock and replays one, with the real application in front of a tiny archive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.capture.lock import encode
from snapproxy.capture.lock_reader import decode
from snapproxy.cli import main
from snapproxy.core.record import Record
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, later

AT = later(FIRST, 3600)
BASE = "http://ftp.debian.org/debian"
ABSENT = "dists/stable/main/i18n/Translation-en.xz"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(hamlet_settings: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a shell command under `run`; return its exit code and its output."""

    def call(*options: str, script: str = "true") -> tuple[int, str, str]:
        code = main(["run", *options, "--", "sh", "-c", script])
        output = capfd.readouterr()
        return code, output.out, output.err

    return call


def get(*paths: str, base: str = BASE) -> str:
    """Return a script that prints the status of each file."""
    return ";".join(f"curl -s -o /dev/null -w '%{{http_code}}\\n' {base}/{path}" for path in paths)


@pytest.fixture
def lock(run: Run, hamlet: Hamlet, tmp_path: Path) -> str:
    file = tmp_path / "build.json"
    code, out, err = run(
        "--at", AT, "--lock", str(file), script=get(INRELEASE, PACKAGES, hamlet.edition.kept.path, ABSENT)
    )
    assert (code, out.split()) == (0, ["200", "200", "200", "404"]), err
    assert f"snapproxy: {file} locks 3 files and 1 absences\n" in err
    assert err.splitlines()[-1].startswith("snapproxy: 3 files"), "one that streams counts once as well"
    hamlet.log.reset_counts()
    return str(file)


def test_a_lock_holds_what_the_command_was_served(lock: str, hamlet: Hamlet) -> None:
    data = Path(lock).read_bytes()
    record = decode(data)
    assert encode(record) == data
    held = {entry.path: entry.sha256 for entry in record.entries}
    assert held[INRELEASE] == hamlet.content(INRELEASE).sha256
    assert set(held) == {INRELEASE, PACKAGES, hamlet.edition.kept.path, ABSENT}
    assert {entry.requested for entry in record.entries} == {AT}


def test_a_capture_of_no_name_is_forgotten(lock: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "list"]) == 0
    assert capfd.readouterr().out == ""


def test_a_capture_of_a_name_stays(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run("--at", AT, "--lock", f"{tmp_path}/a.json", "--capture", "mine", script=get(INRELEASE))
    assert main(["lock", "mine", "--output", f"{tmp_path}/b.json"]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_the_lock_of_a_command_that_fails_is_written_and_doubted(run: Run, tmp_path: Path) -> None:
    code, _, err = run("--at", AT, "--lock", f"{tmp_path}/a.json", script=f"{get(INRELEASE)}; exit 7")
    assert code == 7
    assert "a.json locks 1 files and 0 absences; the command failed (7), so it may contain less" in err
    assert len(decode((tmp_path / "a.json").read_bytes()).entries) == 1


def test_a_command_that_asks_for_nothing_has_an_empty_lock(run: Run, tmp_path: Path) -> None:
    assert run("--at", AT, "--lock", f"{tmp_path}/a.json", "--no-strict")[0] == 0
    assert decode((tmp_path / "a.json").read_bytes()) == Record((), {})
    code, _, err = run("--locked", f"{tmp_path}/a.json")
    assert code == 2
    assert "The lock is empty" in err


def test_latest_is_held_still_by_a_lock(run: Run, tmp_path: Path) -> None:
    assert run("--at", "latest", "--lock", f"{tmp_path}/a.json", script=get(INRELEASE))[1] == "200\n"
    assert run("--locked", f"{tmp_path}/a.json", script=get(INRELEASE))[1] == "200\n"


def test_a_lock_is_replayed_at_its_own_time_and_gives_nothing_else(
    run: Run, lock: str, hamlet: Hamlet, tmp_path: Path
) -> None:
    script = get(INRELEASE, PACKAGES, hamlet.edition.kept.path, ABSENT, hamlet.edition.old.path)
    for more in ((), ("--offline",)):
        code, out, err = run("--locked", lock, *more, "--summary", f"{tmp_path}/used", script=script)
        assert (code, out.split()) == (0, ["200", "200", "200", "404", "424"])
        figures = json.loads((tmp_path / "used").read_text())
        assert (figures["when"], figures["files"], figures["from_cache"], figures["refused"]) == (AT, 3, 3, 2)
        assert err.splitlines()[-1].startswith("snapproxy: 3 files")
    assert list(hamlet.log.entries) == []


def test_the_lock_of_a_summary_is_known_by_its_digest(run: Run, lock: str, hamlet: Hamlet, tmp_path: Path) -> None:
    script = get(INRELEASE, PACKAGES, hamlet.edition.kept.path, ABSENT)
    run("--at", AT, "--lock", f"{tmp_path}/a.json", "--summary", f"{tmp_path}/used", script=script)
    main(["lock", "show", lock, "--format", "lock", "--output", f"{tmp_path}/b.json"])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    digest = hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "used").read_text())["lock"] == digest


def test_a_lock_of_two_times_leaves_the_time_to_the_addresses(run: Run, tmp_path: Path) -> None:
    both = ";".join(f"http_proxy=http://{when}:x@${{http_proxy##*@}} {get(INRELEASE)}" for when in (AT, SECOND))
    assert run("--at", AT, "--lock", f"{tmp_path}/a.json", script=both)[1].split() == ["200", "200"]
    assert len(decode((tmp_path / "a.json").read_bytes()).entries) == 2
    without_time = both.replace("##*@", "##*/")  # no time stands in the address now
    code, out, _ = run("--locked", f"{tmp_path}/a.json", "--offline", script=f"{without_time};{get(INRELEASE)}")
    assert (code, out.split()) == (0, ["200", "200", "407"])


def test_a_capture_is_replayed_offline_at_its_own_time(run: Run, hamlet: Hamlet) -> None:
    run("--at", AT, "--capture", "mine", script=get(INRELEASE, ABSENT))
    hamlet.log.reset_counts()
    script = f"{get(INRELEASE, ABSENT)}; curl -s {BASE}/{PACKAGES}"
    code, out, _ = run("--offline", "--capture", "mine", script=script)
    assert code == 0
    assert out.splitlines()[:2] == ["200", "404"]
    assert "The capture mine has no" in out
    assert list(hamlet.log.entries) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "no time given"),
        (("--capture", "mine"), "no time given"),
        (("--locked", "x.json", "--capture", "mine"), "--locked excludes"),
        (("--locked", "x.json", "--pass", "a.example"), "--locked excludes"),
        (("--at", AT, "--offline", "--lock", "x.json"), "--lock excludes --offline"),
        (("--at", AT, "--lock", "/nowhere/x.json"), "The lock cannot be written"),
    ],
)
def test_options_that_contradict_one_another_are_told(run: Run, options: tuple[str, ...], says: str) -> None:
    code, _, err = run(*options)
    assert code == 2
    assert says in err


def test_two_pins_are_too_many(run: Run) -> None:
    with pytest.raises(SystemExit):
        run("--at", AT, "--locked", "x.json")


def test_a_capture_that_is_not_there_is_told(run: Run) -> None:
    code, _, err = run("--offline", "--capture", "other")
    assert code == 1
    assert "No capture has that name" in err


def test_a_broken_lock_is_told_before_anything_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    code, out, err = run("--locked", f"{tmp_path}/x.json", script="echo ran")
    assert (code, out) == (1, "")
    assert "x.json" in err
