"""`observe`, `timeline` and `bad` with the real application and a real mirror."""

from __future__ import annotations

import json
import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from snapproxy.cli import main
from tests.fakes.faults import Drip, Status
from tests.fakes.hamlet import INRELEASE, PACKAGES
from tests.fakes.present import Present
from tests.fakes.proxy import command, environment
from tests.fakes.signing import SigningKey


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningKey]:
    key = SigningKey(tmp_path_factory.mktemp("key") / "gnupg")
    yield key
    key.close()


@pytest.fixture
def present(key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Present]:
    """An archive, and a configuration that calls it `vendor` as well as `debian`."""
    present = Present(key)
    file = tmp_path / "config.toml"
    file.write_text(
        f'state_dir = "{tmp_path}/state"\ncache_dir = "{tmp_path}/cache"\n[archives.debian]\n'
        f'snapshot = ["{present.snapshot.url}/archive/debian"]\nmirrors = ["{present.mirror.url}/debian"]\n'
        f'keyrings = ["{key.keyring}"]\n[archives.vendor]\n'
        f'family = "apt"\nhistory = "captured"\nmirrors = ["{present.mirror.url}/debian"]\n'
        f'keyrings = ["{key.keyring}"]\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("SNAPPROXY_CONFIG", str(file))
    yield present
    present.close()


def json_of(capsys: pytest.CaptureFixture[str], *argv: str) -> object:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_timeline_is_asked_for_once_and_then_read_from_the_store(
    present: Present, capsys: pytest.CaptureFixture[str]
) -> None:
    for when in ("20240601T000000Z", "20240601T060000Z", "20240602T000000Z"):
        present.timeline.publish(when, present.tree)
    first = json_of(capsys, "resolve", "debian", "20240601T070000Z")
    assert isinstance(first, dict)
    assert (first["snapshot"], first["valid"]) == ("20240601T060000Z", ["20240601T060000Z", "20240601T235959Z"])
    asked = len(present.log.requests(service="snapshot"))
    assert asked > 0
    assert json_of(capsys, "resolve", "debian", "20240601T070000Z") == first
    assert json_of(capsys, "resolve", "debian", "20240601T070000Z", "--offline") == first
    assert len(present.log.requests(service="snapshot")) == asked


def test_what_was_observed_is_listed_and_can_be_fetched(
    present: Present, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observed = json_of(capsys, "observe", "vendor", INRELEASE, "--packages", "all")
    assert isinstance(observed, dict)
    instant = observed.pop("instant")
    seen = {"roots": [INRELEASE], "absent": [], "beside": [], "changed": [INRELEASE], "older": []}
    assert observed == {"archive": "vendor", **seen, "packages": 2, "missing": 0, "dropped": 0}
    assert json_of(capsys, "timeline", "vendor") == [
        {"snapshot": instant, "from": instant, "to": instant, "settled": True, "bad": False, "root": INRELEASE}
    ]
    assert main(["timeline", "vendor"]) == 0
    assert capsys.readouterr().out == f"{instant}/{instant}  {instant}  {INRELEASE}\n"
    old, package = present.tree, present.package
    present.publish()
    assert main(["fetch", "vendor", instant, INRELEASE, PACKAGES, package, "--output-dir", str(tmp_path / "out")]) == 0
    for path in (INRELEASE, PACKAGES, package):
        assert (tmp_path / "out" / path.rpartition("/")[2]).read_bytes() == old.files[path].data


def test_observing_prints_the_instant_and_what_was_new(present: Present, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["observe", "vendor", INRELEASE]) == 0
    instant, root = capsys.readouterr().out.splitlines()
    assert (len(instant), root) == (16, f"  {INRELEASE}  new")
    assert main(["observe", "vendor", INRELEASE]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"  {INRELEASE}  unchanged"
    old = present.tree
    for tree, age in ((None, ""), (old, ", and older than the last observed one")):
        present.publish() if tree is None else present.show(tree)
        assert main(["observe", "vendor", INRELEASE]) == 0
        assert capsys.readouterr().out.splitlines()[1] == f"  {INRELEASE}  new{age}"


def test_packages_that_are_brought_by_hand_show_a_bar(present: Present, tmp_path: Path) -> None:
    present.mirror.fault("*.deb", Drip(piece=200, every=0.1))
    terminal, theirs = pty.openpty()
    with Popen(
        command("observe", "vendor", INRELEASE, "--packages", "all"),
        env=environment({"SNAPPROXY_CONFIG": os.environ["SNAPPROXY_CONFIG"], "TERM": "xterm", "COLUMNS": "100"}),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=theirs,
    ) as observing:
        os.close(theirs)
        said = b""
        while piece := read_terminal(terminal):
            said += piece
        assert observing.wait() == 0
    os.close(terminal)
    assert re.search(r"Packages\.xz.*━.*/.*kB", said.decode()), said


def read_terminal(descriptor: int) -> bytes:
    """Read from a terminal, whose end is an error."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def test_an_observation_that_failed_says_why(present: Present, capsys: pytest.CaptureFixture[str]) -> None:
    present.mirror.fault("*", Status(404))
    assert main(["observe", "vendor", INRELEASE]) == 1
    assert capsys.readouterr().err.startswith("snapproxy: Not in the archive")
    assert main(["observe", "vendor", "pool/x.deb"]) == 1
    assert "neither a root nor an index" in capsys.readouterr().err


def test_the_dumps_of_an_archive_are_listed(present: Present, capsys: pytest.CaptureFixture[str]) -> None:
    listed = json_of(capsys, "timeline", "debian", "--from", "2024-06-01", "--to", "2024-07-01")
    assert isinstance(listed, list)
    assert [each["snapshot"] for each in listed] == present.timeline.ids
    assert {(each["settled"], each["bad"]) for each in listed} == {(True, False)}


@pytest.mark.parametrize(("archive", "hint"), [("debian", "--from and --to"), ("vendor", "snapproxy observe")])
def test_a_timeline_of_nothing_says_so(
    present: Present, archive: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["timeline", archive, "--from", "2023-06-01", "--to", "2023-06-02"]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"snapproxy: no snapshot of {archive} ")
    assert hint in output.err
    assert main(["timeline", archive, "--from", "2023-06-01", "--to", "2023-06-02", "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == []
    assert "between 20230601T000000Z and 20230602T000000Z" in output.err


def test_the_newest_time_of_several_archives_is_printed(present: Present, capsys: pytest.CaptureFixture[str]) -> None:
    newest = present.timeline.ids[-1]
    assert main(["resolve", "debian", "ubuntu", "latest"]) == 0
    assert capsys.readouterr().out == f"{newest}\n"
    found = json_of(capsys, "resolve", "debian", "ubuntu", "latest", "--json")
    assert isinstance(found, dict)
    assert (found["at"], [each["archive"] for each in found["archives"]]) == (newest, ["debian", "ubuntu"])
    assert main(["resolve", "debian", "vendor", "latest"]) == 1
    assert "vendor" in capsys.readouterr().err


def test_an_archive_of_every_second_is_one_stretch(present: Present, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timeline", "ubuntu", "--from", "2020-01-01", "--to", "2024-06-01"]) == 0
    assert capsys.readouterr().out == "20230301T000000Z/20240601T000000Z\n"
    assert main(["timeline", "ubuntu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("(not settled)")


def test_a_timeline_is_of_instants(present: Present, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["timeline", "vendor", "--from", "live"])
    assert "expected a date or an instant" in capsys.readouterr().err


def test_a_snapshot_is_marked_bad_listed_so_and_taken_back(
    present: Present, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = present.timeline.ids
    assert main(["bad", "debian", second, "--because", "caught  in the middle\nof a sync"]) == 0
    assert capsys.readouterr().out == f"debian/{second}  marked bad\n"
    assert main(["timeline", "debian", "--from", first, "--to", second]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [first, f"{second}  (marked bad: caught in the middle of a sync)"]
    assert main(["resolve", "debian", second]) == 1
    assert "It was marked bad by hand: caught in the middle of a sync" in capsys.readouterr().err
    assert json_of(capsys, "bad", "debian", second, "--undo") == {"archive": "debian", "snapshot": second, "bad": False}
    assert main(["resolve", "debian", second]) == 0
    assert main(["bad", "debian", second, "--undo"]) == 1
    assert f"{second} was not marked bad by hand" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["live", "--undo"], ["2024-06-01"], ["2024-06-01", "--because", " "]])
def test_a_mark_wants_an_instant_and_a_reason(present: Present, words: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bad", "debian", *words])
