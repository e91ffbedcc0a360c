"""What the README says is what the program does."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from snapproxy.cli.parser import build_parser, parse
from snapproxy.cli.verbs import VERBS
from snapproxy.config import describe, load
from snapproxy.config.settings import keys, twin
from snapproxy.core.model import Role
from snapproxy.core.time_spec import parse_time as parse_when
from snapproxy.families import FAMILIES


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Every command line of the shell blocks, its variable assignments left out."""
    lines = [shlex.split(line) for block in blocks(text, "sh") for line in block.splitlines() if line]
    return [[word for word in line if "=" not in word.split("/")[0] or word.startswith("-")] for line in lines]


def test_a_working_proxy_by_line_20(readme: str) -> None:
    head = readme.splitlines()[:20]
    assert "make run" in head
    assert any(line.startswith("http_proxy=http://20240601T000000Z:x@127.0.0.1:3142 apt-get") for line in head)


def test_every_command_parses(readme: str) -> None:
    ours = [line[1:] for line in commands(readme) if line[0] == "snapproxy"]
    assert {line[0] for line in ours} == set(VERBS)
    for line in ours:
        assert parse(line).verb == line[0]


def test_every_make_target_exists(root: Path, readme: str) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    shown = readme + (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    used = set(re.findall(r"\bmake ((?:run|test|soak|faults|check|fix|bench|help)[a-z-]*)", shown))
    assert used >= {"run", "test", "check", "fix", "bench", "test-long", "soak", "faults"}
    for target in used:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_the_command_table_is_the_help(readme: str) -> None:
    table = readme.partition("## Commands")[2].partition("```")[0]
    rows = dict(re.findall(r"^\| `([a-z]+)` \| ([^|`]+) \|$", table, re.MULTILINE))
    parser = build_parser()
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    assert rows == {choice.dest: choice.help for choice in verbs._choices_actions}
    help_text = parser.format_help()
    for name, does in rows.items():
        assert re.search(rf"^ +{name} +{re.escape(does)}$", help_text, re.MULTILINE), name


def test_every_setting_has_its_twin_and_its_line(readme: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| `(SNAPPROXY_[A-Z_]+)` \| .+ \|$", readme, re.MULTILINE)
    assert rows == [(key, twin(key)) for key in keys()]
    with pytest.raises(SystemExit):
        parse(["serve", "--help"])
    told = capsys.readouterr().out
    assert describe() in told
    for key in keys():
        assert re.search(rf"^  {key} +{twin(key)} +\S", told, re.MULTILINE), key


def test_the_sample_settings_are_accepted(readme: str, tmp_path: Path) -> None:
    alpine, captured, sample = blocks(readme, "toml")
    file = tmp_path / "config.toml"
    file.write_text(sample, encoding="utf-8")
    config = load(file, {"HOME": str(tmp_path)})
    assert config.archives[-1].name == "example"
    assert tomllib.loads(sample)["pass"] == ["github.com:443"]
    file.write_text(alpine, encoding="utf-8")
    (watch,) = load(file, {"HOME": str(tmp_path)}).watch
    assert all(FAMILIES["apk"].classify(path).role is Role.ROOT for path in watch.paths)
    file.write_text(captured, encoding="utf-8")
    config = load(file, {"HOME": str(tmp_path)})
    assert (config.archives[-1].history, config.watch[0].every) == ("captured", 3600)
    file.write_text("".join(captured.splitlines(keepends=True)[:4]), encoding="utf-8")
    assert load(file, {"HOME": str(tmp_path)}).archives[-1].mirrors, "three lines are enough"


def test_every_time_in_the_table_is_read(readme: str) -> None:
    table = readme.partition("## How to write a time")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    times = [time for cell in cells for time in re.findall(r"`([^`]+)`", cell)]
    assert len(times) == 9
    for time in times:
        parse_when(time)
