"""Each command of the pages exists, and is run by a test, or is listed with the reason why it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapproxy.cli.parser import parse
from tests.fakes.documented import ELSEWHERE, PROGRAMS, RUN, Command, documented, pattern_of

COMMANDS = list(dict.fromkeys(documented()))
OURS = [each for each in COMMANDS if each.is_ours]
OTHERS = [each for each in COMMANDS if not each.is_ours]


def named(commands: list[Command]) -> list[object]:
    return [pytest.param(each, id=f"{each.page}: {each.text}"[:90]) for each in commands]


def test_the_pages_have_commands() -> None:
    assert len(OURS) > 60
    assert any(each.line.startswith("dpkg-query") for each in OURS), "commands after a pipe count as well"


@pytest.mark.parametrize("command", named(OURS))
def test_a_command_of_ours_parses_and_is_run(command: Command) -> None:
    if command.words[1:] != ("--version",):
        assert parse(list(command.words[1:])).verb == command.words[1]
    assert " ".join(command.words) in RUN or pattern_of(command), (
        "add it to RUN or ELSEWHERE of tests/fakes/documented.py"
    )


def test_each_program_has_a_reason() -> None:
    used = {each.words[0] for each in OTHERS}
    assert used - set(PROGRAMS) == set(), "add them to PROGRAMS of tests/fakes/documented.py"


def test_the_lists_name_nothing_that_is_not_on_a_page(root: Path) -> None:
    assert sorted(set(RUN) - {" ".join(each.words) for each in OURS}) == []
    unused = set(ELSEWHERE) - {pattern_of(each) for each in OURS}
    assert sorted(unused) == []
    assert [test for test in ELSEWHERE.values() if not (root / test).exists()] == []
