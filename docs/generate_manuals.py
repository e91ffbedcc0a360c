"""Generate the man pages and completions from the parser, by argparse-manpage and shtab: `make manuals`."""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from snapproxy import __version__
from snapproxy.cli.parser import build_parser
from snapproxy.cli.verbs import VERBS

_COLUMNS = "100"
"""The width of usages; man wraps them again."""

_FOLDERS = frozenset({"DIR"})
_FILES = frozenset({"FILE", "LOCK", "PATH", "LIST"})
"""Names of values for which file names are completed."""


def _verbs(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001


def _roff(text: str) -> str:
    """Return a text of the help as man shows it: its lines as they are, in a fixed pitch where they are indented."""
    lines, is_literal = [], False
    for line in text.strip("\n").splitlines():
        indented = line.startswith(" ")
        if indented != is_literal and line:
            lines.append(".EX" if indented else ".EE")
            is_literal = indented
        escaped = line.replace("\\", "\\e").replace("-", "\\-")
        lines.append(f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped or ".PP")
    return "\n".join(lines + [".EE"] * is_literal)


def man_page(verb: str = "") -> str:
    """Return the man page of one verb, or of the program."""
    os.environ["COLUMNS"] = _COLUMNS
    parser, summary = build_parser((verb,) if verb else ()), "show package archives as they were at one instant"
    others = [f"snapproxy-{each}(1)" for each in VERBS] if not verb else ["snapproxy(1)"]
    if verb:
        parser, summary = _verbs(parser)[verb], VERBS[verb]
    description, notes = parser.description or "", parser.epilog or ""
    parser.description = parser.epilog = None
    usage = parser.format_usage()
    if not verb:
        parser._positionals._group_actions.clear()  # noqa: SLF001 -- the verbs have a section of their own
    page = Manpage(
        parser,
        {
            "project_name": "snapproxy",
            "version": __version__,
            "manual_title": "snapproxy manual",
            "date": " ",  # a date would change with every generation
            "description": summary,
        },
        format="single-commands-section",
    )
    page.prog, page.synopsis = f"snapproxy-{verb}" if verb else "snapproxy", usage.partition(":")[2].split()
    page.add_section("description", "=", _roff(description))
    if not verb:
        page.add_section("verbs", "=", "\n".join(f".TP\n.B {name}\n{_roff(VERBS[name])}" for name in VERBS))
    if notes.strip():
        page.add_section("notes", "=", _roff(notes))
    page.add_section("see also", "=", ",\n".join(each.replace("-", "\\-") for each in others))
    return '.\\" Generated from the code by `make manuals`.\n' + str(page)


def completion(shell: str) -> str:
    """Return the completion of the program for a shell."""
    os.environ["COLUMNS"] = _COLUMNS
    parser = build_parser()
    for action in _actions(parser):
        if action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                yield from _actions(each)
        else:
            yield action


COMPLETIONS = {"bash": "bash/snapproxy", "zsh": "zsh/_snapproxy", "fish": "fish/snapproxy.fish"}
"""The file of each shell's completion, by the name under which the shell looks for it."""

FILES: Mapping[str, Callable[[], str]] = {
    **{
        f"man/{f'snapproxy-{verb}' if verb else 'snapproxy'}.1": functools.partial(man_page, verb)
        for verb in ("", *VERBS)
    },
    **{f"completions/{name}": functools.partial(completion, shell) for shell, name in COMPLETIONS.items()},
}
"""Each generated file by its path below the folder `build`, and the function that returns its text."""


def write(folder: Path) -> None:
    """Write all of them below a folder."""
    for name, generate in FILES.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(generate(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parents[1] / "build")
