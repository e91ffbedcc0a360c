"""Count what makes the code easy or hard to read. Prints one line a count; each has a limit in tests/house.

    .venv/bin/python -m bench.code_counts            the counts
    .venv/bin/python -m bench.code_counts --where    and each place

- phrases: turns of phrase that make English hard to read, in a thousand words of docstrings and of each Markdown page
- long lines: of Python, above 120 columns
- doubled classes: class names that more than one module of the packages defines
- circles: modules of the packages that import one another, directly or through others

`bench.hit_path` counts the modules and calls of one cached answer.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "snapproxy", ROOT / "storage" / "snapproxy_storage")

MOST_PHRASES = 1.0
"""In a thousand words. Well-written projects of this field have 0.0 to 0.4."""

COLUMNS = 120

PHRASES = (
    r"\b(is|are|was) no(ne)?\b(?! (longer|more|matter|such|other))",
    (
        r"(?<![,a-z] )\b[Ww]ho(ever)? "
        r"(asks?|waits?|comes?|is|has|holds?|wants?|reads?|knows?|makes|brings|calls|cannot|gave)\b"
    ),
    r"\b[Ww]hat (is|was|has|stands|comes|came|follows|nobody|nothing|no|they|it|we|a|an|the|each|upstream|captures)\b",
    r"\b[Ss]tands?\b",
    r"\b([Nn]obody|[Ee]verybody)\b",
    r"\b(comes?|came|coming) to\b",
    r"\b([Tt]old|[Tt]ells?)\b",
    r"\b(for ever|at once|a moment)\b",
    r"\b(patien(t|ce)|rests?|unwell|believe[ds]?|polite(ly)?|manners|mere help|reign)\b",
)
"""Clauses used as nouns, machines described as persons, and archaic words."""

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def tracked(*patterns: str) -> list[Path]:
    """Return the project's files of these patterns, without the test data of others."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if not name.startswith("tests/data/")]


def modules() -> dict[str, Path]:
    """Return every module of the two packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for file in sorted(package.rglob("*.py")):
            parts = file.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def docstrings(file: Path) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text


def prose(page: Path) -> str:
    """Return a Markdown page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def phrases(text: str) -> list[str]:
    """Return the hard phrases of a text, each with its surroundings."""
    hits = (hit for pattern in PHRASES for hit in re.finditer(pattern, text))
    return [" ".join(text[max(0, hit.start() - 30) : hit.end() + 30].split()) for hit in hits]


def density(text: str) -> float:
    """Return the hard phrases in a thousand words."""
    return 1000 * len(phrases(text)) / max(1, len(text.split()))


def long_lines() -> list[str]:
    """Return the places of Python lines that are too long."""
    return [
        f"{file.relative_to(ROOT)}:{number}"
        for file in tracked("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > COLUMNS
    ]


def doubled_classes() -> dict[str, list[str]]:
    """Return the class names that several modules define, with these modules."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, file in modules().items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    return {name: found for name, found in places.items() if len(found) > 1}


def imports() -> dict[str, set[str]]:
    """Return the modules that each module imports, those under TYPE_CHECKING and in functions included."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, file in known.items():
        targets = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                targets |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
            elif isinstance(node, ast.Import):
                targets |= {each.name for each in node.names}
        found[name] = (targets & known.keys()) - {name}
    return found


def circles() -> list[list[str]]:
    """Return each group of modules that import one another. A package's `__init__` counts as its own module."""
    graph = imports()
    reachable: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            fresh = graph[waiting.pop()] - seen
            seen |= fresh
            waiting += fresh
        reachable[start] = seen
    groups = {
        frozenset(each for each in seen if name in reachable[each]) for name, seen in reachable.items() if name in seen
    }
    return [sorted(group) for group in groups]


def main() -> None:
    parser = argparse.ArgumentParser(description="Count what makes the code easy or hard to read.")
    parser.add_argument("--where", action="store_true", help="print each place")
    arguments = parser.parse_args()
    documented = "\n\n".join(text for file in modules().values() for text in docstrings(file))
    pages = {page.relative_to(ROOT).as_posix(): density(prose(page)) for page in tracked("*.md")}
    worst = max(pages, key=pages.__getitem__)
    counts: dict[str, tuple[str, list[str]]] = {
        "phrases a thousand words of docstrings": (f"{density(documented):.2f}", phrases(documented)),
        "phrases a thousand words of the worst page": (f"{pages[worst]:.2f}", [worst]),
        "long lines": (str(len(long_lines())), long_lines()),
        "doubled classes": (
            str(len(doubled_classes())),
            [f"{name}: {', '.join(found)}" for name, found in doubled_classes().items()],
        ),
        "circles": (str(len(circles())), [" ".join(circle) for circle in circles()]),
    }
    for what, (count, places) in counts.items():
        print(f"{count:>6}  {what}")
        if arguments.where:
            print(*(f"          {place}" for place in places), sep="\n")


if __name__ == "__main__":
    main()
