"""The indexes of the packages of a list."""

from __future__ import annotations

from pathlib import Path

from snapproxy.core.listing import Selection
from snapproxy.core.model import Refusal
from snapproxy.core.progress import SILENT
from snapproxy.core.time_spec import parse_time
from snapproxy.prefetch.list_indexes import IndexesOfList, ListedFiles, indexes_of
from snapproxy.prefetch.slice import SliceReader
from snapproxy_storage import read_blob
from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SUITE, Hamlet
from tests.fakes.house import House

_SELECTIONS = tuple(Selection(suite=name, architectures=("amd64",)) for name in ("missing", SUITE))


async def read(house: House, *paths: str) -> IndexesOfList | Refusal:
    app, row = house.app, house.rows[0]
    probing, recording = (
        SliceReader(row, app.answerer, app.tables, app.listings, SILENT, capture) for capture in ("", "list")
    )

    async def read_root(digest: str) -> bytes | None:
        return await read_blob(app.store.blobs, digest, 1 << 20)

    listed = ListedFiles(row, parse_time(FIRST), frozenset(paths), _SELECTIONS)
    return await indexes_of(listed, probing, recording, read_root)


async def test_the_suite_that_lists_a_package_is_recorded(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path, (hamlet.row,)) as house:
        found = await read(house, hamlet.edition.kept.path)
        record = await house.app.answered("list")
    assert found == IndexesOfList((), ())
    assert {each.path for each in record.entries} == {INRELEASE, PACKAGES}


async def test_a_package_that_no_suite_lists_is_reported_and_records_nothing(hamlet: Hamlet, tmp_path: Path) -> None:
    path = hamlet.edition.new.path  # of a later time
    async with House(tmp_path, (hamlet.row,)) as house:
        found = await read(house, path)
        captures = house.app.captures.names()
    assert found == IndexesOfList((), (path,))
    assert captures == []


async def test_a_root_that_cannot_be_obtained_is_a_refusal(hamlet: Hamlet, tmp_path: Path) -> None:
    for server in (hamlet.past, hamlet.now):
        server.fault("*/InRelease", Status(500))
        server.fault("*/Release", Status(500))
    async with House(tmp_path, (hamlet.row,)) as house:
        found = await read(house, hamlet.edition.kept.path)
    assert isinstance(found, Refusal)
    assert found.status == 424
