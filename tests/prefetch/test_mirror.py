"""Mirrors of slices: every file of each newly settled snapshot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from snapproxy.config import MirroredSlice
from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.progress import SILENT
from snapproxy.core.time_spec import format_instant
from snapproxy.families import FAMILIES
from snapproxy.jobs.timeline import TimelineEntry, settled_instants
from snapproxy.prefetch.fetch_files import FileFetcher
from snapproxy.prefetch.mirror import Mirror, MirrorTarget
from snapproxy.prefetch.slice import SliceReader
from tests.fakes.content import epoch
from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, SECOND, SUITE, Hamlet
from tests.fakes.house import PATIENT, House

_SELECTION = Selection(suite=SUITE, components=("main",), architectures=("amd64",))
_KEY = MirrorTarget(Archive("debian", "apt", "snapshots"), (_SELECTION,)).key


class Listed:
    """The settled snapshots of an archive, and the instants after which they were requested."""

    def __init__(self, *instants: Instant) -> None:
        self.instants = instants
        self.asked: list[Instant | None] = []

    async def __call__(self, _archive: Archive, last: Instant | None) -> Sequence[Instant]:
        self.asked.append(last)
        return [each for each in self.instants if last is None or each > last]


def mirror(house: House, listed: Listed) -> Mirror:
    app = house.app
    reader = SliceReader(house.rows[0], app.answerer, app.tables, app.listings, SILENT)
    target = MirrorTarget(house.rows[0], (_SELECTION,))
    return Mirror(
        target, reader, FileFetcher(app.answerer, families=FAMILIES, clock=app.clock), app.store.catalog, listed
    )


async def test_each_new_snapshot_is_fetched_once_and_shared_files_are_not_fetched_again(
    hamlet: Hamlet, tmp_path: Path
) -> None:
    listed = Listed(epoch(FIRST), epoch(SECOND))
    async with House(tmp_path, (hamlet.row,)) as house:
        first = await mirror(house, listed).update()
        again = await mirror(house, listed).update()
    assert isinstance(first, str)
    one, other = first.split("; ")
    assert one.startswith(f"{FIRST}: 3 files, 3 of them new")
    # `kept` has a strong digest. `weak` has an MD5 only, and is found by it, because the same archive sent it before.
    assert other.startswith(f"{SECOND}: 3 files, 1 of them new")
    assert again == "no new snapshot"
    assert listed.asked == [None, epoch(SECOND)]


async def test_a_snapshot_with_a_missing_file_is_fetched_again(hamlet: Hamlet, tmp_path: Path) -> None:
    listed = Listed(epoch(FIRST))
    hamlet.past.fault("*/moved_1_amd64.deb", Status(404))
    async with House(tmp_path, (hamlet.row,)) as house:
        failed = await mirror(house, listed).update()
        assert isinstance(failed, Refusal)
        assert "1 of 3 files" in failed.why
        hamlet.past.heal()
        house.clock.leap(3600)  # type: ignore[attr-defined]
        done = await mirror(house, listed).update()
    assert isinstance(done, str)
    assert done.startswith(f"{FIRST}: 3 files")
    assert listed.asked == [None, None]


async def test_an_unknown_component_is_a_refusal(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path, (hamlet.row,)) as house:
        app, row = house.app, house.rows[0]
        reader = SliceReader(row, app.answerer, app.tables, app.listings, SILENT)
        target = MirrorTarget(row, (Selection(suite=SUITE, components=("mian",), architectures=("amd64",)),))
        fetcher = FileFetcher(app.answerer, families=FAMILIES, clock=app.clock)
        found = await Mirror(target, reader, fetcher, app.store.catalog, Listed(epoch(FIRST))).update()
    assert isinstance(found, Refusal)


def test_two_selections_of_one_archive_remember_their_own_snapshots(hamlet: Hamlet) -> None:
    other = Selection(suite=SUITE, components=("main",), architectures=("arm64",))
    keys = {MirrorTarget(hamlet.row, (each,)).key for each in (_SELECTION, other)}
    assert len(keys) == 2


async def test_a_mirror_is_updated_inside_serve(hamlet: Hamlet, tmp_path: Path) -> None:
    mirrored = (MirroredSlice("debian", (SUITE,), ("main",), ("amd64",), 3600),)
    async with House(tmp_path, (hamlet.row,), timeouts=PATIENT, mirror=mirrored) as house:
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(house.app.serve([listener]))
        while not (facts := house.store.catalog.fact(_KEY, 0)):
            await asyncio.sleep(0.05)
            house.clock.leap(2)  # type: ignore[attr-defined]  # slowly: reading the index has a limit of ten minutes
        serving.cancel()
        await asyncio.wait({serving})
        newest = format_instant(facts)
        assert house.named(newest, hamlet.edition.new.path)
        assert house.named(newest, hamlet.edition.kept.path)


def _entry(first: int, last: int | None = None, *, is_settled: bool = True, is_bad: bool = False) -> TimelineEntry:
    return TimelineEntry(str(first), first, first if last is None else last, is_settled, is_bad=is_bad)


@pytest.mark.parametrize(
    ("entries", "after", "newest", "expected"),
    [
        ([_entry(1), _entry(2), _entry(3), _entry(4, is_settled=False)], 1, 3, [2, 3]),
        ([_entry(2, is_bad=True), _entry(3)], 1, 3, [3]),
        ([_entry(1, 900)], 5, 800, [800]),
        ([_entry(1), _entry(2)], 2, 2, []),
    ],
)
def test_settled_instants(entries: list[TimelineEntry], after: int, newest: int, expected: list[int]) -> None:
    assert settled_instants(entries, after, newest) == expected
