"""Parsing, exit codes and error messages of all verbs."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from snapproxy import __version__
from snapproxy.cli import main
from snapproxy.cli.parser import parse
from snapproxy.cli.verbs import VERBS, usage_of
from snapproxy_storage import StorageFailure


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_is_there(verb: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*([verb] if verb else []), "--help"])
    assert ended.value.code == 0
    assert "usage: snapproxy" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"snapproxy {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "VERB"),
        (["serve", "--listen", "3142"], "is not ADDRESS:PORT"),
        (["serve", "--", "x"], "unrecognized arguments"),
        (["run", "--at", "20240601"], "no command given"),
        (["run", "--at", "20240601", "--"], "no command given"),
        (["run", "--at", "yesterday", "--", "true"], "20240601T000000Z"),
        (["run", "--at", "20240601", "--capture", "x", "--", "true"], "is not a valid capture name"),
        (["run", "--at", "20240601", "--pass", "http://x", "--", "true"], "HOST:PORT"),
        (["sources", "debian", "--at", "latest"], "snapproxy resolve ARCHIVE latest"),
        (["sources", "debian", "--at", "20240601", "--base", "https://h/path"], "is not http://HOST:PORT"),
        (
            ["sources", "archlinux", "--at", "2024/05/31"],
            "2024/05/31 is the name of a folder, not a time; use 2024-05-31 (midnight UTC)",
        ),
        (["resolve", "debian", "20241301"], "TIME"),
        (["serve", "--conf", "x"], "unrecognized arguments: --conf x; did you mean --config?"),
        (["reslove", "debian", "20240601"], "there is no verb 'reslove'; did you mean resolve?"),
        (["nonsense"], "there is no verb 'nonsense'\n"),
        (["--config", "x", "resolve"], "--config must follow the verb"),
        (["resolve", "debian", "20240601", "--bogus"], "usage: snapproxy resolve "),
        (["resolve", "debian", "yesterday"], "this proxy can read. A time is"),
    ],
)
def test_a_wrong_call_exits_2_and_says_why(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_wrong_call_is_a_json_error_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["resolve", "debian", "yesterday", "--json"])
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["reason"].startswith("argument TIME: ")
    assert error["hint"].startswith("usage: snapproxy resolve")


@pytest.mark.parametrize(("verb", "stream"), [(["resolve", "debain", "20240601"], "out"), (["run", "--at"], "err")])
def test_an_error_is_json_where_the_verb_prints_json(
    verb: list[str], stream: str, plain_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` leaves stdout to its command."""
    options = ["latest", "--json", "--", "true"] if verb[0] == "run" else ["--json"]
    assert main([*verb, *options]) != 0
    output = getattr(capsys.readouterr(), stream)
    error = json.loads(output[output.index("{") :])["error"]
    assert error.keys() == {"reason", "why", "hint"}


def test_a_mistyped_archive_is_suggested(plain_environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "debain", "20240601"]) == 1
    assert "\n  Did you mean debian? " in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_has_examples_that_can_be_called(verb: str) -> None:
    examples = usage_of(verb).EXAMPLES
    assert examples
    for each in examples:
        assert parse(shlex.split(each)).verb == verb, each


def test_a_short_option_has_one_meaning() -> None:
    meanings: dict[str, set[str]] = {}
    for verb in VERBS:
        parser = argparse.ArgumentParser()
        usage_of(verb).add_arguments(parser)
        for action in parser._actions:  # argparse has no public list
            for option in action.option_strings:
                if len(option) == len("-o"):
                    meanings.setdefault(option, set()).add(action.dest)
    assert {option: found for option, found in meanings.items() if len(found) > 1} == {}


def test_latest_is_run_only_where_a_capture_holds_it_still(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--at", "latest", "--", "true"]) == 2
    assert "--capture NAME" in capsys.readouterr().err


def test_a_command_keeps_its_own_dashes() -> None:
    arguments = parse(["run", "--at", "20240601", "--", "sh", "-c", "x", "--", "--help"])
    assert arguments.command == ["sh", "-c", "x", "--", "--help"]


def test_mistakes_in_the_settings_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text('max_gapp = "1h"\nlisten = 1\n', encoding="utf-8")
    assert main(["config", "check", "--config", str(file)]) == 2
    output = capsys.readouterr().err
    assert output.startswith("snapproxy: The configuration has 2 mistakes\n  listen: 1 is not accepted")
    assert "max_gapp: no such setting; did you mean max_gap?" in output


@pytest.mark.parametrize("key", ["state_dir", "cache_dir"])
def test_a_folder_that_cannot_be_made_is_one_clear_error(
    key: str, plain_environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (plain_environment / "file").touch()
    monkeypatch.setenv(f"SNAPPROXY_{key.upper()}", str(plain_environment / "file" / "below"))
    assert main(["resolve", "debian", "20240601"]) == 2
    output = capsys.readouterr().err
    assert f"snapproxy: The {key} cannot be created or written" in output
    assert f"SNAPPROXY_{key.upper()}" in output


def test_a_store_that_fails_is_told_in_its_own_words(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_config: object, **_options: object) -> None:
        raise StorageFailure("/s/catalog is of a newer version")

    monkeypatch.setattr("snapproxy.cli.resolve.open_times", broken)
    assert main(["resolve", "debian", "20240601"]) == 1
    assert capsys.readouterr().err == "snapproxy: The store failed\n  /s/catalog is of a newer version\n"


def test_a_reader_that_leaves_is_no_traceback() -> None:
    script = f"{sys.executable} -m snapproxy config check | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
