"""`snapproxy lock`: other forms of a lock, and differences, from files alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.capture import cyclonedx, intoto, sha256sums, spdx
from snapproxy.capture.lock import encode
from snapproxy.capture.lock_reader import decode
from snapproxy.cli import main
from snapproxy.core.record import Record
from tests.capture.records import CURL, entry, example
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, later
from tests.fakes.house import House

CALL = "/mr/binary/kept/"
SUMMARY = """\
archlinux at 2024/05/31 (pacman)
  snapshot: 2024/05/31
  files: 2, 1 of them packages, 220.0 kB; absences: 0
  weakest proof: none
debian at 20240601T000000Z (apt)
  snapshot: 20240531T203452Z
  files: 3, 1 of them packages, 9.3 MB; absences: 1
  weakest proof: gpg
  identical for any instant in 20240531T203452Z/20240601T023000Z
unpinned: ::1
unpinned: github.com
"""


@pytest.fixture
def lock(tmp_path: Path) -> str:
    file = tmp_path / "snapproxy.lock.json"
    file.write_bytes(encode(example()))
    return str(file)


@pytest.fixture
def newer(tmp_path: Path) -> str:
    entries = tuple(each for each in example().entries if each.path != CURL)
    record = replace(example(), entries=(*entries, entry(CURL.replace("u5", "u7"))))
    file = tmp_path / "newer.json"
    file.write_bytes(encode(record))
    return str(file)


def test_a_lock_is_summed_up_for_people(lock: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["lock", "show", lock]) == 0
    assert capsysbinary.readouterr().out.decode() == SUMMARY


def test_an_empty_lock_says_so(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "empty").write_bytes(encode(Record((), {})))
    assert main(["lock", "show", str(tmp_path / "empty")]) == 0
    assert capsysbinary.readouterr().out == b"nothing was served\n"


def test_every_form_is_printed_byte_for_byte(
    lock: str, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1717200000")
    record, epoch = example(), 1_717_200_000
    written = {
        "lock": encode(record),
        "sha256sums": sha256sums.of_packages(record),
        "sha256sums-titled": sha256sums.of_titles(record),
        "cyclonedx": cyclonedx.write(record, epoch),
        "spdx": spdx.write(record, epoch),
        "in-toto": intoto.write(record),
    }
    for form, data in written.items():
        assert main(["lock", "show", lock, "--format", form]) == 0
        assert capsysbinary.readouterr().out == data


def test_an_epoch_that_is_none_is_refused(
    lock: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main(["lock", "show", lock, "--format", "spdx"]) == 2
    assert "SOURCE_DATE_EPOCH is not a number of seconds\n  It is 'yesterday'." in capsys.readouterr().err


def test_differences_are_a_table(lock: str, newer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "diff", lock, newer]) == 0
    assert capsys.readouterr().out == "changed  debian  curl amd64  7.88.1-10+deb12u5  7.88.1-10+deb12u7\n"
    assert main(["lock", "diff", lock, newer, "--exit-code"]) == 1
    assert main(["lock", "diff", lock, lock, "--exit-code"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_an_empty_cell_is_a_dash(tmp_path: Path, lock: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_bytes(encode(Record((), {}, {}, frozenset({"example.org"}))))
    assert main(["lock", "diff", str(tmp_path / "empty"), lock]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["added", "debian", "curl", "amd64", "-", "7.88.1-10+deb12u5"] in lines
    assert ["removed", "-", "example.org", "example.org", "-"] in lines


def test_differences_are_json_for_a_machine(lock: str, newer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "diff", lock, newer, "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert [each["package"] for each in output["packages"]] == ["curl amd64"]
    assert [each["kind"] for each in output["files"]] == ["removed", "added"]


def test_a_bad_lock_is_told_with_its_file_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(encode(example()).replace(b'"size":315000', b'"size":-1'))
    assert main(["lock", "show", str(file)]) == 1
    assert capsys.readouterr().err.splitlines()[:2] == [
        "snapproxy: The lock cannot be read",
        f"  {file}: files[4].size: expected an integer from 0 to 9007199254740991, not -1.",
    ]


@pytest.mark.parametrize(("name", "says"), [("none.json", "No such file or directory"), ("", "Is a directory")])
def test_what_is_no_file_is_told_with_how_a_lock_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    file = tmp_path / name
    assert main(["lock", "show", str(file)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["snapproxy: The lock cannot be read", f"  {file}: {says}."]
    assert "run --lock FILE" in said[2]


@pytest.mark.parametrize("words", [["diff", "a"], ["show", "a", "b"], ["mend", "a"]])
def test_another_call_is_a_mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", *words]) == 2
    assert "lock NAME, lock show FILE, or lock diff A B" in capsys.readouterr().err


def test_the_help_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """argparse fails late on some metavars."""
    with pytest.raises(SystemExit) as left:
        main(["lock", "--help"])
    assert left.value.code == 0
    assert "snapproxy lock diff A B" in capsys.readouterr().out


class TestOfACapture:
    """The lock of a recorded capture."""

    @pytest.fixture
    async def settings(self, hamlet: Hamlet, tmp_path: Path) -> Path:
        """A store with two captures of one build, whose requests came in different orders, and one with fewer files."""
        paths = [INRELEASE, PACKAGES, "dists/stable/main/i18n/Translation-en.xz"]
        async with House(tmp_path, (hamlet.row,)) as house:
            for name, asked in (("first", paths), ("second", paths[::-1]), ("less", paths[:1])):
                for path in asked:
                    await house.get(later(FIRST, 3600), path, capture=name)
                if name != "less":
                    await house.call(CALL, capture=name)
        file = tmp_path / "config.toml"
        file.write_text(f'state_dir = "{tmp_path}/state"\ncache_dir = "{tmp_path}/cache"\n', encoding="utf-8")
        return file

    def test_two_captures_of_one_build_have_one_lock(
        self, settings: Path, hamlet: Hamlet, capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        locks = []
        for name in ("first", "second"):
            assert main(["lock", name, "--config", str(settings)]) == 0
            locks.append(capsysbinary.readouterr().out)
        assert locks[0] == locks[1]
        record = decode(locks[0])
        assert [each.path for each in record.entries if each.is_absence] == ["dists/stable/main/i18n/Translation-en.xz"]
        assert [(each.path, each.requested) for each in record.entries if each.is_service] == [(CALL, "always")]
        assert hamlet.content(INRELEASE).sha256 in {each.sha256 for each in record.entries}

    def test_it_is_written_whole_to_where_it_is_wanted(
        self, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = tmp_path / "out" / "snapproxy.lock.json"
        assert main(["lock", "first", "--config", str(settings), "--output", str(target)]) == 1
        target.parent.mkdir()
        assert main(["lock", "first", "--config", str(settings), "--output", str(target)]) == 0
        assert [file.name for file in target.parent.iterdir()] == [target.name]
        assert main(["lock", "show", str(target)]) == 0
        assert f"{target.parent}" in capsys.readouterr().err, "the folder that was missing"
        assert decode(target.read_bytes()).families == {"debian": "apt"}

    def test_captures_are_compared_as_locks_are(self, settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
        config = ["--config", str(settings)]
        assert main(["capture", "diff", "first", "second", *config]) == 0
        assert capsys.readouterr().out == ""
        assert main(["capture", "diff", "less", "first", *config]) == 0
        assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
            ["added", "debian", CALL],
            ["added", "debian", PACKAGES],
            ["added", "debian", "dists/stable/main/i18n/Translation-en.xz"],
        ]

    def test_a_capture_that_is_not_there(self, settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["lock", "none", "--config", str(settings)]) == 1
        assert "No capture has that name" in capsys.readouterr().err
