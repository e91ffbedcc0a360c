"""`backup` copies a store while a server answers from it, and `restore` gives a store with the same answers."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from snapproxy.cli import main
from tests.fakes import proxy
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, later
from tests.fakes.proxy import Snapproxy

TIMES = [later(when, hours * 3600) for when in (FIRST, SECOND) for hours in range(1, 50, 6)]


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def settings(hamlet_settings: Path, folder: Path) -> Path:
    """Return the same settings with another store."""
    text = hamlet_settings.read_text(encoding="utf-8")
    file = folder / "config.toml"
    folder.mkdir()
    file.write_text(text.replace(f"{hamlet_settings.parent}/", f"{folder}/"), encoding="utf-8")
    return file


def test_a_backup_under_load_answers_the_same_offline(hamlet: Hamlet, hamlet_settings: Path, tmp_path: Path) -> None:
    paths = [INRELEASE, PACKAGES, hamlet.edition.kept.path, hamlet.edition.weak.path]
    served: dict[str, bytes] = {}
    over = threading.Event()
    backup = str(tmp_path / "backup")

    def load(url: str, number: int) -> None:
        """Request every file at every time, into captures that are opened all the time."""
        turn = 0
        while not over.is_set():
            for time in TIMES:
                for path in paths:
                    request = f"~load{number}-{turn % 50}/debian/{time}/{path}"
                    status, data = fetch(f"{url}/{request}")
                    if status == 200:
                        served.setdefault(request, data)
                    turn += 1

    def copy() -> dict[str, int]:
        ended = proxy.run("backup", backup, "--json", extra={"SNAPPROXY_CONFIG": str(hamlet_settings)})
        assert ended.returncode == 0, ended.stderr
        summary: dict[str, int] = json.loads(ended.stdout)
        return summary

    with Snapproxy(hamlet_settings) as server:
        clients = [threading.Thread(target=load, args=(server.url, number)) for number in range(3)]
        for client in clients:
            client.start()
        try:
            first = copy()
            before = dict(served)  # all of this was answered when the second backup begins
            second = copy()
        finally:
            over.set()
            for client in clients:
                client.join()
    assert before, "clients were answered during the backup"
    assert first["missing"] == second["missing"] == 0
    assert second["journals"] > 0
    assert second["present"] >= first["copied"] > 0
    restored = settings(hamlet_settings, tmp_path / "restored")
    ended = proxy.run("restore", backup, "--json", extra={"SNAPPROXY_CONFIG": str(restored)})
    assert ended.returncode == 0, ended.stderr
    with Snapproxy(restored, options=["--offline"]) as server:
        assert {request: fetch(f"{server.url}/{request}") for request in before} == {
            request: (200, data) for request, data in before.items()
        }
    checked = proxy.run("fsck", "--no-fetch", "--json", extra={"SNAPPROXY_CONFIG": str(restored)})
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["strangers"] == []


def test_the_verbs_say_what_they_did_and_refuse(
    hamlet_settings: Path, tmp_path: Path, hamlet: Hamlet, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "backup")
    assert main(["backup", target]) == 1
    assert "nothing to back up" in capsys.readouterr().err
    assert main(["fetch", "debian", FIRST, INRELEASE, "--output-dir", str(tmp_path / "files")]) == 0
    assert main(["backup", target]) == 0
    assert "1 files copied" in capsys.readouterr().err
    assert main(["restore", target]) == 1
    assert "is not empty" in capsys.readouterr().err
