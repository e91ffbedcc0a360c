"""Modules, functions and classes stay short, and each module states its own purpose."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 500
FUNCTION_LINES = 60
CLASS_LINES = 250

#: Commented data, one entry for each archive.
EXEMPT = {"snapproxy/archives/table.py"}


def _modules(root: Path) -> Iterator[tuple[str, str]]:
    for package in ("snapproxy", "storage"):
        for file in sorted((root / package).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            if name not in EXEMPT:
                yield name, file.read_text(encoding="utf-8")


def test_modules_stay_short(root: Path) -> None:
    sizes = {name: len(text.splitlines()) for name, text in _modules(root)}
    assert sizes
    assert {name: size for name, size in sizes.items() if size > MODULE_LINES} == {}


def _longer(root: Path, kinds: tuple[type[ast.stmt], ...], limit: int) -> dict[str, int]:
    found = {}
    for name, text in _modules(root):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, kinds):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > limit:
                    found[f"{name}:{node.lineno} {node.name}"] = size  # type: ignore[attr-defined]
    return found


def test_functions_stay_short(root: Path) -> None:
    assert _longer(root, (ast.FunctionDef, ast.AsyncFunctionDef), FUNCTION_LINES) == {}


def test_classes_stay_short(root: Path) -> None:
    assert _longer(root, (ast.ClassDef,), CLASS_LINES) == {}


def test_no_module_is_a_part_of_another(root: Path) -> None:
    """A module that needs such a docstring belongs into the other one."""
    docstrings = {name: ast.get_docstring(ast.parse(text)) or "" for name, text in _modules(root)}
    assert [name for name, text in docstrings.items() if re.search(r"\b[Aa] part of `", text)] == []


def test_every_module_says_what_it_is_for(root: Path) -> None:
    assert [name for name, text in _modules(root) if not ast.get_docstring(ast.parse(text))] == []
