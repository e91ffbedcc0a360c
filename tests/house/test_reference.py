"""The generated pages and examples are what the code says today."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from docs.generate_reference import COMMAND, FILES
from snapproxy.cli.parser import build_parser, parse
from snapproxy.config import describe
from snapproxy.config.settings import keys, twin


@pytest.mark.parametrize("name", FILES)
def test_it_is_up_to_date(name: str, root: Path) -> None:
    assert (root / name).read_text(encoding="utf-8") == FILES[name](), f"{name} is outdated: run `{COMMAND}`"


def test_the_command_table_is_the_help(root: Path) -> None:
    table = (root / "docs/reference/commands.md").read_text(encoding="utf-8").partition("\n## ")[0]
    rows = dict(re.findall(r"^\| \[`([a-z]+)`\]\(#\1\) \| ([^|`]+) \|$", table, re.MULTILINE))
    parser = build_parser()
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    assert rows == {choice.dest: choice.help for choice in verbs._choices_actions}
    help_text = parser.format_help()
    for name, does in rows.items():
        assert re.search(rf"^ +{name} +{re.escape(does)}$", help_text, re.MULTILINE), name


def test_every_setting_has_its_twin_and_its_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (root / "docs/reference/settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| `(SNAPPROXY_[A-Z_]+)` \| .+ \|$", page, re.MULTILINE)
    assert rows == [(key, twin(key)) for key in keys()]
    with pytest.raises(SystemExit):
        parse(["serve", "--help"])
    told = capsys.readouterr().out
    assert describe() in told
    for key in keys():
        assert re.search(rf"^  {key} +{twin(key)} +\S", told, re.MULTILINE), key
