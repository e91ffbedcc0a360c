"""A slice of the tiny archive: its indexes and packages, recorded and replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapproxy.core.listing import Selection
from snapproxy.core.model import Refusal
from snapproxy.core.progress import SILENT
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ConfigurationError
from snapproxy.prefetch.slice import Slice, SliceReader
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, SUITE, Hamlet, content_of
from tests.fakes.house import House


async def read(house: House, when: str, selection: Selection, capture: str = "") -> Slice | Refusal:
    reader = SliceReader(house.rows[0], house.app.answerer, house.app.tables, house.app.listings, SILENT, capture)
    return await reader.read(parse_time(when), selection)


async def test_a_slice_has_every_package_of_the_selection(hamlet: Hamlet, tmp_path: Path) -> None:
    edition = hamlet.edition
    async with House(tmp_path, (hamlet.row,)) as house:
        found = await read(house, SECOND, Selection(suite=SUITE, components=("main",), architectures=("amd64",)))
        record = house.app.captures.names()
    assert isinstance(found, Slice)
    assert {(each.path, each.digest) for each in found.packages} == {
        (edition.kept.path, f"sha256:{content_of(edition.kept).digests['sha256']}"),
        (edition.new.path, f"sha256:{content_of(edition.new).digests['sha256']}"),
        (edition.weak.path, ""),
    }
    assert [each.size for each in found.packages if each.path == edition.kept.path] == [300_000]
    assert [(each.path, each.snapshot) for each in found.roots] == [(INRELEASE, SECOND)]
    assert record == []


async def test_the_roots_and_indexes_of_a_slice_are_recorded(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path, (hamlet.row,)) as house:
        await read(house, FIRST, Selection(suite=SUITE, architectures=("amd64",)), capture="slice")
        record = await house.app.answered("slice")
    assert {entry.path for entry in record.entries} == {INRELEASE, PACKAGES}


async def test_an_unknown_suite_is_the_refusal_of_its_root(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path, (hamlet.row,)) as house:
        found = await read(house, FIRST, Selection(suite="missing", architectures=("amd64",)))
    assert isinstance(found, Refusal)
    assert found.status == 404


async def test_an_unknown_component_is_refused(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path, (hamlet.row,)) as house:
        found = await read(house, FIRST, Selection(suite=SUITE, components=("mian",), architectures=("amd64",)))
    assert isinstance(found, Refusal)
    assert "mian is not one of: main" in found.why


async def test_a_selection_without_a_suite_is_an_error(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path, (hamlet.row,)) as house:
        with pytest.raises(ConfigurationError):
            await read(house, FIRST, Selection(architectures=("amd64",)))
