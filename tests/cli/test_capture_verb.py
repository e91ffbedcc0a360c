"""The actions of `snapproxy capture`, on a store into which a proxy has recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.cli import main
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, later
from tests.fakes.house import House

AT = later(FIRST, 3600)
Capture = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def recorded(hamlet: Hamlet, tmp_path: Path) -> Path:
    """The settings of a store that holds the capture `build`."""
    async with House(tmp_path, (hamlet.row,)) as house:
        for path in (INRELEASE, PACKAGES, "dists/stable/main/i18n/Translation-en.xz"):
            await house.get(AT, path, capture="build")
    file = tmp_path / "config.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\ncache_dir = "{tmp_path}/cache"\n', encoding="utf-8")
    return file


@pytest.fixture
def capture(recorded: Path, capsys: pytest.CaptureFixture[str]) -> Capture:
    def run(action: str, *arguments: str) -> tuple[int, str, str]:
        code = main(["capture", action, "--config", str(recorded), *arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def test_list_tells_what_there_is(capture: Capture) -> None:
    _, out, _ = capture("list")
    assert out.startswith("build  open, begun 2")
    assert "debian; 2 files" in out
    assert out.endswith("; 1 absences\n")
    (build,) = json.loads(capture("list", "--json")[1])
    assert (build["name"], build["closed"], build["archives"]) == ("build", False, ["debian"])
    assert (build["files"], build["absences"]) == (2, 1)


def test_show_lists_every_answer(capture: Capture, hamlet: Hamlet) -> None:
    lines = capture("show", "build")[1].splitlines()
    content = hamlet.content(INRELEASE)
    assert f"debian/{FIRST}/{INRELEASE}  {len(content.data)} {content.sha256} gpg" in lines
    assert f"debian/{FIRST}/dists/stable/main/i18n/Translation-en.xz  absent" in lines
    shown = json.loads(capture("show", "build", "--json")[1])
    assert [each["path"] for each in shown["files"]] == sorted(each["path"] for each in shown["files"])


def test_close_rename_and_remove(capture: Capture) -> None:
    assert capture("close", "build")[0] == 0
    before = capture("show", "build", "--json")[1]
    assert capture("rename", "build", "kept")[0] == 0
    assert "kept  closed" in capture("list")[1]
    assert capture("show", "kept", "--json")[1] == before
    assert capture("remove", "kept")[0] == 0
    assert capture("list")[1] == ""


@pytest.mark.parametrize("action", ["show", "close", "remove"])
def test_an_unknown_name_is_told_with_the_known_ones(capture: Capture, action: str) -> None:
    code, _, err = capture(action, "other")
    assert code == 1
    assert "No capture has that name" in err
    assert "build" in err
