"""The README is short, and everything that it shows works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snapproxy.cli.parser import parse
from tests.fakes.pages import command_lines


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_it_is_short(readme: str) -> None:
    assert len(readme.splitlines()) <= 120


def test_a_working_proxy_by_line_20(readme: str) -> None:
    head = readme.splitlines()[:20]
    assert "make run" in head
    assert "export http_proxy=http://20240601T000000Z:x@127.0.0.1:3142" in head
    assert any(line.startswith("apt-get ") and "Error-Mode=any" in line for line in head)


def test_it_pins_a_build_and_locks_one(readme: str) -> None:
    ours = [line[1:] for line in command_lines(readme) if line[0] == "snapproxy"]
    assert [line[0] for line in ours] == ["run", "sources", "run", "run", "prefetch"]
    for line in ours:
        assert parse(line).verb == line[0]


def test_every_make_target_exists(root: Path, readme: str) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    pages = [root / "CONTRIBUTING.md", *(root / "docs").rglob("*.md")]
    shown = readme + "".join(page.read_text(encoding="utf-8") for page in pages)
    used = set(re.findall(r"\bmake ((?:run|test|soak|faults|clients|docs|check|fix|bench|help)[a-z-]*)", shown))
    assert used >= {"run", "test", "docs", "check", "fix", "bench", "test-long", "soak", "faults", "clients"}
    for target in used:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
