"""Read Markdown pages for tests: code blocks, command lines, links and anchors."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """Return the content of every code block of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def command_lines(text: str) -> list[list[str]]:
    """Return every command line of the shell blocks, without leading variable assignments."""
    lines = [shlex.split(line) for block in blocks(text, "sh") for line in block.splitlines() if line]
    for words in lines:
        while words and re.match(r"[A-Za-z_]+=", words[0]):
            words.pop(0)
    return [words for words in lines if words]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return _FENCED.sub("", text)


def links(text: str) -> list[str]:
    """Return the targets of all links within the same host."""
    return [target for target in _LINK.findall(prose(text)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown and GitHub derive them."""
    headings = _HEADING.findall(prose(page.read_text(encoding="utf-8")))
    plain = (re.sub(r"[`*]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading)) for heading in plain}


def code_names(text: str) -> set[str]:
    """Return everything in backticks outside of code blocks."""
    return set(re.findall(r"`([^`\n]+)`", prose(text)))
