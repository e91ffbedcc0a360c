"""The verb `prefetch` with the real application and a tiny archive: slices and locks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import main
from snapproxy.cli.parser import parse
from snapproxy.prefetch import from_lock
from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SUITE, Hamlet

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("hamlet_settings")

_SLICE = ("debian", "--at", FIRST, "--suite", SUITE, "--arch", "amd64", "--all")


def prefetch(*argv: str) -> int:
    return main(["prefetch", *argv])


def json_of(capsys: Capture, *argv: str, code: int = 0) -> dict[str, Any]:
    assert prefetch(*argv, "--json") == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def recorded(capsys: Capture, capture: str) -> set[str]:
    assert main(["capture", "show", capture, "--json"]) == 0
    return {each["path"] for each in json.loads(capsys.readouterr().out)["files"]}


def test_a_slice_is_recorded_with_its_indexes(hamlet: Hamlet, capsys: Capture) -> None:
    edition = hamlet.edition
    assert prefetch(*_SLICE, "--capture", "slice") == 0
    captured = capsys.readouterr()
    assert "prefetch: 3 files to download (650.0 kB); requests: " in captured.err, "the cost is printed first"
    assert captured.out.splitlines() == [
        "3 files, 650.0 kB: 0 from the store, 3 from upstream; verified: 2 gpg, 1 index",
        "recorded in the capture slice",
    ]
    packages = {edition.kept.path, edition.old.path, edition.weak.path}
    assert recorded(capsys, "slice") == {INRELEASE, PACKAGES, *packages}


def test_a_dry_run_downloads_only_roots_and_indexes(hamlet: Hamlet, capsys: Capture) -> None:
    assert prefetch(*_SLICE, "--dry-run", "--capture", "slice") == 0
    assert "3 files to download (650.0 kB); requests: " in capsys.readouterr().out
    assert not hamlet.asked(".deb")
    assert main(["capture", "show", "slice"]) != 0


def test_the_files_of_a_lock_are_recorded_again(hamlet: Hamlet, tmp_path: Path, capsys: Capture) -> None:
    lock = tmp_path / "lock.json"
    assert prefetch(*_SLICE, "--capture", "slice") == 0
    assert main(["lock", "slice", "--output", str(lock)]) == 0
    capsys.readouterr()
    found = json_of(capsys, "--from", str(lock), "--capture", "again")
    assert {each["cache"] for each in found["files"]} == {"HIT"}
    assert recorded(capsys, "again") == recorded(capsys, "slice")


def test_a_lock_of_an_unknown_archive_is_reported(hamlet: Hamlet, tmp_path: Path, capsys: Capture) -> None:
    lock = tmp_path / "lock.json"
    assert prefetch(*_SLICE, "--capture", "slice") == 0
    assert main(["lock", "slice", "--output", str(lock)]) == 0
    lock.write_text(lock.read_text().replace('"debian"', '"nowhere"'))
    capsys.readouterr()
    found = json_of(capsys, "--from", str(lock))
    assert found["files"] == []
    assert found["notes"] == [f"{lock}: the archive nowhere is not configured, so its files are left out"]


def test_bytes_that_differ_from_the_list_fail(hamlet: Hamlet, tmp_path: Path, capsys: Capture) -> None:
    lock = tmp_path / "lock.json"
    assert prefetch(*_SLICE, "--capture", "slice") == 0
    assert main(["lock", "slice", "--output", str(lock)]) == 0
    data = json.loads(lock.read_text())
    (kept,) = (each for each in data["files"] if each["path"] == hamlet.edition.kept.path)
    kept["sha256"] = "ab" * 32
    lock.write_text(json.dumps(data))
    capsys.readouterr()
    assert prefetch("--from", str(lock)) == 1
    assert "The file differs from the one in the list" in capsys.readouterr().err


def test_a_missing_file_fails_and_the_others_are_fetched(hamlet: Hamlet, capsys: Capture) -> None:
    for server in (hamlet.past, hamlet.now):
        server.fault("*/moved_1_amd64.deb", Status(404))
    found = json_of(capsys, *_SLICE, code=1)
    assert sorted(each["state"] for each in found["files"]) == ["ok", "ok", "refused"]


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ((), "No archive was named"),
        (("debian",), "No time was given"),
        (("debian", "--at", FIRST), "No package was named"),
        (("debian", "--at", FIRST, "hello"), "No suite of debian was named"),
        (("debian", "--at", FIRST, "--all"), "No suite of debian was named"),
        (("debian", "--at", FIRST, "--suite", "other:x", "hello"), "No suite of debian was named"),
        (("debian", "--at", FIRST, "--suite", "stable,nowhere:x", "hello"), "There is no archive of that name"),
        (("debian", "--at", FIRST, "--suite", ":x", "hello"), "--suite ':x' is not SUITE or ARCHIVE:SUITE"),
        ((*_SLICE, "hello"), "--all excludes packages and the options of dependencies"),
        (("archlinux", "--at", FIRST, "--suite", "x", "hello"), "archlinux has no suites"),
        (("alpine", "--at", FIRST, "hello"), "No repository was named"),
        (("--from", "list", "--all", "--recommends"), "--from excludes --all, --recommends"),
        (("--from", "list", "--any-solver"), "--from excludes --any-solver"),
        ((*_SLICE, "--any-solver"), "--all excludes packages and the options of dependencies"),
        (("--from", "/nonexistent/list"), "The list cannot be read"),
        (("nowhere", "--at", FIRST, "hello"), "There is no archive of that name"),
    ],
)
def test_arguments_that_are_incomplete_or_contradictory(argv: tuple[str, ...], reason: str, capsys: Capture) -> None:
    assert prefetch(*argv) != 0
    assert reason in capsys.readouterr().err


def test_the_formats_of_lists_are_printed(capsys: Capture) -> None:
    assert prefetch("--list-formats") == 0
    assert "apko-lock" in capsys.readouterr().out
    formats = json_of(capsys, "--list-formats")["formats"]
    assert formats[0] == {"name": from_lock.FORMAT, "description": "a lock of snapproxy"}
    assert "apko-lock" in {each["name"] for each in formats}


@pytest.mark.parametrize(
    "argv",
    [
        ("debian", "hello", "curl", "--at", FIRST, "--suite", "x"),
        ("debian", "--at", FIRST, "hello", "--suite", "x", "curl"),
        ("--at", FIRST, "debian", "--suite", "x", "hello", "curl"),
    ],
)
def test_options_may_stand_between_the_archive_and_the_packages(argv: tuple[str, ...]) -> None:
    assert parse(["prefetch", *argv]).names == ["debian", "hello", "curl"]


def test_an_unknown_option_is_a_usage_error(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        prefetch("debian", "--at", FIRST, "--sweet", "x", "hello")
    assert "unrecognized arguments: --sweet" in capsys.readouterr().err
