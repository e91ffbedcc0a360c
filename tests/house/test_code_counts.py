"""The code stays readable: its English, the names of its classes, its imports, the way of a cached answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench import code_counts, hit_path
from bench.archive import Archive


def test_docstrings_are_plain_english() -> None:
    text = "\n\n".join(text for file in code_counts.modules().values() for text in code_counts.docstrings(file))
    assert len(text.split()) > 10_000
    assert code_counts.density(text) < code_counts.MOST_PHRASES


@pytest.mark.parametrize("page", code_counts.tracked("*.md"), ids=lambda page: page.name)
def test_every_page_is_plain_english(page: Path) -> None:
    assert code_counts.density(code_counts.prose(page)) < code_counts.MOST_PHRASES


def test_a_hard_phrase_is_found() -> None:
    assert code_counts.phrases("Whoever asks is told what the mirror has.")


def test_no_class_name_occurs_twice() -> None:
    assert code_counts.doubled_classes() == {}


def test_no_modules_import_one_another() -> None:
    assert len(code_counts.imports()) > 200
    assert code_counts.circles() == []


def test_a_cached_answer_takes_few_modules_and_calls(tmp_path: Path) -> None:
    """The limits of docs/explain/design.md, section 3."""
    with Archive(tmp_path / "archive", [hit_path.SMALL]) as archive:
        found = asyncio.run(hit_path.profile(tmp_path, archive, hit_path.SMALL.path(0)))
    assert set(found) == {"mirror form", "proxy form"}
    for calls in found.values():
        assert 10 < len(calls.modules) <= hit_path.MOST_MODULES
        assert 50 < len(calls.codes) <= hit_path.MOST_CALLS
