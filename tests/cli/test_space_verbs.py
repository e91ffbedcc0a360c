"""The verbs about disk space: gc, pin, unpin and stats, on the store of a tiny archive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import main
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, later

AT, AFTER = later(FIRST, 3600), later(SECOND, 3600)


@pytest.fixture
def filled(hamlet: Hamlet, hamlet_settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Fetch a root, an index and a package at two times; return the settings."""
    for at in (AT, AFTER):
        for path in (
            INRELEASE,
            PACKAGES,
            hamlet.edition.kept.path,
            hamlet.edition.kept.path,
        ):  # named when it is stored
            assert main(["fetch", "debian", at, path, "--output-dir", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    return hamlet_settings


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    return json.loads(output(capsys, *arguments, "--json", code=code))


@pytest.mark.usefixtures("filled")
def test_gc_without_a_shortage_removes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report = as_json(capsys, "gc")
    assert report["stored"]["files"] == report["removable"]["files"] == 5
    assert (report["quota"], report["wanted_bytes"], report["removed"]["files"]) == (None, 0, 0)


@pytest.mark.usefixtures("filled")
def test_gc_frees_what_is_asked_and_a_dry_run_says_so_before(capsys: pytest.CaptureFixture[str]) -> None:
    dry = as_json(capsys, "gc", "--dry-run", "--to", "0B")
    assert dry["removed"]["files"] == 5
    real = as_json(capsys, "gc", "--to", "0B")
    assert real["removed"] == dry["removed"]
    assert (real["pending_bytes"], real["reclaimed_bytes"]) == (0, real["removed"]["bytes"])
    assert as_json(capsys, "gc")["stored"]["files"] == 0


@pytest.mark.usefixtures("filled")
def test_gc_says_what_protects_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "pin", "snapshot", "debian", AT).startswith(f"pinned snapshot  debian/{FIRST}  3 files, ")
    text = output(capsys, "gc", "--free", "1GB", code=1)
    assert "2 files, 8.2 kB, removed" in text
    assert "1.0 GB were to be freed: the other files are protected" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["pins", "3", "files", "311.3", "kB", "protected"] in lines


@pytest.mark.usefixtures("filled")
def test_pins_are_listed_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "pin", "--list") == "no pins\n"
    output(capsys, "pin", "snapshot", "debian", AT)
    (listed,) = as_json(capsys, "pin", "--list")
    assert (listed["kind"], listed["name"], listed["stored"]["files"]) == ("snapshot", f"debian/{FIRST}", 3)
    assert output(capsys, "unpin", "snapshot", "debian", AT) == f"no longer pinned: snapshot debian/{FIRST}\n"
    assert main(["unpin", "snapshot", "debian", AT]) == 1
    assert "There is no such pin" in capsys.readouterr().err


@pytest.mark.usefixtures("hamlet_settings")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pin"], "Name what to pin, or use --list"),
        (["pin", "lock", "a", "--list"], "Name what to pin, or use --list"),
        (["pin", "snapshot", "debian"], "A snapshot is named by ARCHIVE and TIME"),
        (["pin", "capture", "a", "b"], "A capture is named by NAME"),
        (["unpin"], "Name the pin to remove"),
    ],
)
def test_a_pin_that_is_not_named_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("hamlet_settings")
def test_what_does_not_exist_cannot_be_pinned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["pin", "capture", "nothing"]) == 1
    assert "No capture has that name" in capsys.readouterr().err
    assert main(["pin", "lock", str(tmp_path / "no.json")]) == 1
    assert "The lock cannot be read" in capsys.readouterr().err
    assert main(["pin", "snapshot", "nowhere", AT]) == 1
    assert "There is no archive of that name" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["-1", "1.5", "many", "1XB"])
def test_a_size_that_cannot_be_read_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", f"--free={size}"]) == 2
    assert "The value of --free is not a size" in capsys.readouterr().err


@pytest.mark.usefixtures("filled")
def test_stats_of_the_store_say_what_is_saved(capsys: pytest.CaptureFixture[str], hamlet: Hamlet) -> None:
    found = as_json(capsys, "stats", "--snapshots")
    size = 300_000
    (archive,) = found["archives"]
    assert (archive["archive"], archive["names"], archive["missing"], archive["saved_bytes"]) == ("debian", 6, 0, size)
    assert found["total"] == {key: value for key, value in archive.items() if key != "archive"}
    snapshots = {each["snapshot"]: each for each in found["snapshots"]}
    assert list(snapshots) == [FIRST, SECOND]
    own = len(hamlet.content(INRELEASE).data) + len(hamlet.content(PACKAGES).data)
    assert snapshots[FIRST] == {
        "archive": "debian",
        "snapshot": FIRST,
        "names": 3,
        "missing": 0,
        "bytes": size + own,
        "distinct_bytes": size + own,
        "own_bytes": own,
        "saved_bytes": 0,
    }
    table = output(capsys, "stats", "--snapshots")
    assert [line.split()[0] for line in table.splitlines() if line] == [
        "ARCHIVE", "debian", "all", "ARCHIVE", f"debian/{FIRST}", f"debian/{SECOND}",
    ]  # fmt: skip
    assert "300.0 kB" in table


@pytest.mark.usefixtures("hamlet_settings")
def test_stats_of_an_empty_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "stats", "--snapshots") == {
        "archives": [],
        "snapshots": [],
        "total": dict.fromkeys(["names", "missing", "bytes", "distinct_bytes", "own_bytes", "saved_bytes"], 0),
    }


def test_stats_count_names_whose_files_are_gone(
    filled: Path, capsys: pytest.CaptureFixture[str], hamlet: Hamlet
) -> None:
    (Path(filled).parent / "state/blobs/sha256" / hamlet.content(PACKAGES).sha256).unlink()
    assert as_json(capsys, "stats")["total"]["missing"] == 1
