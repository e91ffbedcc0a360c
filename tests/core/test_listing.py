"""Selecting parts of an archive, and valid package names."""

from __future__ import annotations

import pytest

from snapproxy.core.listing import PackageVersion, Part, Selection, chosen, listed, refuse_unmatched, smallest_path
from snapproxy.errors import ArchiveDataError

MAIN = Part("a", "main", "amd64")
ARM = Part("b", "main", "arm64")
CONTRIB = Part("c", "contrib", "amd64")
INSTALLER = Part("d", "main/debian-installer", "amd64", is_usual=False)
FLAT = Part("Packages")
PARTS = (MAIN, ARM, CONTRIB, INSTALLER)


def test_a_package_without_a_source_is_its_own() -> None:
    assert listed("a", "amd64", "1") == PackageVersion("a", "amd64", "1", "a", "1")
    assert listed("a", "amd64", "1", "s") == PackageVersion("a", "amd64", "1", "s", "1")


@pytest.mark.parametrize("word", ["", "a b", "a\x1b[2J", "a\n", "a\u202eb", "a" * 256, "\udc80"])
def test_words_that_would_garble_a_terminal_are_refused(word: str) -> None:
    for words in ((word, "amd64", "1"), ("a", word, "1"), ("a", "amd64", word)):
        with pytest.raises(ArchiveDataError, match="an invalid name or version"):
            listed(*words)


def test_names_may_be_written_in_any_script() -> None:
    assert listed("b\u00e9ton-\u65e5\u672c", "noarch", "1").name == "b\u00e9ton-\u65e5\u672c"


@pytest.mark.parametrize(
    ("selection", "parts"),
    [
        (Selection(), [MAIN, ARM, CONTRIB]),
        (Selection(architectures=("amd64",)), [MAIN, CONTRIB]),
        (Selection(components=("main",), architectures=("arm64", "amd64")), [MAIN, ARM]),
        (Selection(components=("main/debian-installer",)), [INSTALLER]),
    ],
)
def test_what_is_selected(selection: Selection, parts: list[Part]) -> None:
    assert chosen(PARTS, selection) == parts


def test_a_part_that_is_for_any_architecture_is_always_selected() -> None:
    assert chosen([FLAT], Selection(architectures=("amd64",))) == [FLAT]
    assert refuse_unmatched([FLAT], Selection(architectures=("amd64",))) is None


def test_what_is_nowhere_is_refused_and_what_there_is_told() -> None:
    refusal = refuse_unmatched(PARTS, Selection(components=("main", "universe"), architectures=("amd64",)))
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (404, "There is no such component at either time")
    assert refusal.why == "universe is not one of: contrib, main, main/debian-installer."
    refusal = refuse_unmatched(PARTS, Selection(architectures=("x86_64",)))
    assert refusal is not None
    assert refusal.why == "x86_64 is not one of: amd64, arm64."


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (("Packages", "Packages.gz", "Packages.xz"), "Packages.xz"),
        (("Packages.gz", "Packages"), "Packages.gz"),
        (("ab-primary.xml.zst", "cd-primary.xml.gz"), "ab-primary.xml.zst"),
        (("Packages",), "Packages"),
    ],
)
def test_the_smallest_packing_is_read(names: tuple[str, ...], best: str) -> None:
    assert smallest_path(names) == best
