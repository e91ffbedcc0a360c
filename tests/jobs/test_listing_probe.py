"""Comparisons with an archive's lists: limits, refusals, packages from elsewhere. The archive is a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from snapproxy.answer.selected_indexes import ListedPart, RefusedFileError, StoredIndex
from snapproxy.core.listing import PackageVersion, Part, Root, Selection, listed
from snapproxy.core.model import Archive, Refusal, TimeSpec
from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence, not_after, not_before
from snapproxy.formats.time_evidence.installed import InstalledPackage
from snapproxy.jobs.listing_probe import ListingProbe, SearchSpan
from snapproxy.jobs.root_sources import SourcePart
from snapproxy.jobs.timeline import TimelineEntry
from snapproxy.jobs.when import SEARCHED_SECONDS, search_window

DAY = 86400
START = 1_717_200_000
ARCHIVE = Archive(name="debian", family="apt", history="snapshots")
NOW = START + 100 * DAY
SPAN = SearchSpan(START, START + 40 * DAY, START)


@dataclass
class Table:
    """An archive with a snapshot a day; `states` maps the day of a change to the listed versions by name."""

    states: Mapping[int, Mapping[str, str]]
    refused: Callable[[int], Refusal | None] = lambda _: None
    read: list[str] = field(default_factory=list)

    def _state(self, when: TimeSpec) -> int:
        day = ((when.instant or 0) - START) // DAY
        if (refusal := self.refused(day)) is not None:
            raise RefusedFileError(refusal)
        return max(change for change in self.states if change <= day)

    async def roots(self, roots: Sequence[Root], when: TimeSpec) -> list[StoredIndex]:
        return [StoredIndex(root.names[0], str(self._state(when)), when.text) for root in roots]

    async def parts(self, roots: Sequence[Root], files: Sequence[StoredIndex]) -> list[ListedPart]:
        return [ListedPart(Part("Packages.xz", "main", "amd64"), ("sha256", each.digest)) for each in files]

    async def packages(self, part: Part, when: TimeSpec, selection: Selection) -> list[PackageVersion]:
        self.read.append(part.path)
        return [listed(name, "amd64", version) for name, version in self.states[self._state(when)].items()]


def probe(table: Table, installed: Mapping[str, str], **limits: int) -> ListingProbe:
    packages = [InstalledPackage(name, version, "amd64") for name, version in installed.items()]
    parts = [SourcePart(ARCHIVE, Selection("bookworm", ("main",), ("amd64",)))]
    return ListingProbe(packages, parts, lambda _: table, **limits)  # type: ignore[arg-type]


async def days(_: Archive, first: int, last: int) -> list[TimelineEntry]:
    instants = range(START, START + 40 * DAY, DAY)
    return [TimelineEntry(str(each), each, each, is_settled=True) for each in instants if first <= each <= last]


STATES = {0: {"a": "1", "b": "1"}, 10: {"a": "2", "b": "1"}, 20: {"a": "2", "b": "2"}, 30: {"a": "3", "b": "2"}}


async def test_the_interval_ends_before_the_next_state() -> None:
    table = Table(STATES)
    found = await probe(table, {"a": "2", "b": "1"}).search(SPAN, days, NOW)
    assert found.evidence is not None
    assert (found.evidence.first, found.evidence.last) == (START + 10 * DAY, START + 20 * DAY - 1)
    assert found.evidence.kind is EvidenceKind.LISTING
    assert len(table.read) <= len(STATES), "an index with the same digest is read once"
    assert "snapshots were compared" in found.notes[0]


async def test_packages_from_elsewhere_are_noted() -> None:
    found = await probe(Table(STATES), {"a": "2", "b": "1", "mine": "5"}).search(SPAN, days, NOW)
    assert found.evidence is not None
    assert "lists all 2 packages" in found.evidence.says
    assert any(note.startswith("1 of 3 packages are in no compared list") for note in found.notes)


@pytest.mark.parametrize("installed", [{"a": "1", "b": "2"}, {"mine": "1"}])
async def test_a_root_of_no_single_instant_is_not_dated(installed: dict[str, str]) -> None:
    found = await probe(Table(STATES), installed).search(SPAN, days, NOW)
    assert found.evidence is None
    assert "No compared snapshot lists all" in found.notes[0]


async def test_the_number_of_snapshots_is_limited() -> None:
    found = await probe(Table(STATES), {"a": "2", "b": "2"}, most_snapshots=3).search(SPAN, days, NOW)
    assert "ended after 3 snapshots" in found.notes[-1]


async def test_the_number_of_indexes_is_limited() -> None:
    table = Table({day: {"a": str(day)} for day in range(40)})
    found = await probe(table, {"a": "33"}, most_indexes=4).search(SPAN, days, NOW)
    assert len(table.read) == 4
    assert "4 indexes of one part were read" in found.notes[-1]


async def test_days_without_an_answer_are_passed_over() -> None:
    gap = Table(STATES, lambda day: Refusal(410, "in a gap") if day in {10, 11, 12} else None)
    found = await probe(gap, {"a": "2", "b": "1"}).search(SPAN, days, NOW)
    assert found.evidence is not None
    assert (found.evidence.first, found.evidence.last) == (START + 10 * DAY, START + 20 * DAY - 1)


async def test_an_archive_without_an_answer_says_so() -> None:
    found = await probe(Table(STATES, lambda _: Refusal(410, "No such day")), {"a": "1"}).search(SPAN, days, NOW)
    assert found.evidence is None
    assert found.notes[0] == "No snapshot of that time was answered."


async def test_a_suite_that_began_later_is_too_early() -> None:
    table = Table(STATES, lambda day: Refusal(404, "Not in this snapshot") if day < 12 else None)
    found = await probe(table, {"a": "2", "b": "1"}).search(SPAN, days, NOW)
    assert found.evidence is not None
    assert found.evidence.first == START + 12 * DAY


async def test_a_failure_of_upstream_ends_the_search_with_its_reason() -> None:
    found = await probe(Table(STATES, lambda _: Refusal(424, "Upstream cools down")), {"a": "1"}).search(
        SPAN, days, NOW
    )
    assert found.evidence is None
    assert "Upstream cools down" in found.notes[-1]


async def test_an_unsettled_snapshot_is_not_compared() -> None:
    async def unsettled(archive: Archive, first: int, last: int) -> list[TimelineEntry]:
        return [replace(each, is_settled=each.first < START + 15 * DAY) for each in await days(archive, first, last)]

    table = Table(STATES, lambda day: Refusal(425, "Not settled") if day >= 15 else None)
    found = await probe(table, {"a": "2", "b": "1"}).search(SPAN, unsettled, NOW)
    assert found.evidence is not None
    assert (found.evidence.at, found.evidence.last) == (START + 14 * DAY, SPAN.last)


async def test_without_snapshots_nothing_is_compared() -> None:
    async def none(*_: object) -> list[TimelineEntry]:
        return []

    async def refused(*_: object) -> Refusal:
        return Refusal(424, "Offline")

    for entries, word in ((none, "no settled snapshot"), (refused, "Offline")):
        found = await probe(Table(STATES), {"a": "1"}).search(SPAN, entries, NOW)
        assert found.evidence is None
        assert word in found.notes[0]


@pytest.mark.parametrize(("installed", "agrees"), [({"a": "2"}, True), ({"a": "1"}, False), ({"mine": "1"}, False)])
async def test_a_pin_is_checked(installed: dict[str, str], agrees: bool) -> None:
    at = START + 15 * DAY
    pin = TimeEvidence(kind=EvidenceKind.PIN, first=at, last=at, place="sources.list", says="x", at=at)
    found = await probe(Table(STATES), installed).agrees_with(pin)
    assert (found is not None) == agrees
    assert found is None or (found.kind, found.at) == (EvidenceKind.LISTING, at)


def test_the_searched_time_is_between_build_dates_and_logs() -> None:
    built, log = not_before(EvidenceKind.BUILD, START, "p", "x"), not_after(EvidenceKind.LOG, START + DAY, "p", "x")
    changed = not_after(EvidenceKind.FILE, START + 60, "p", "x")
    now = START + 90 * DAY
    assert search_window([built, log, changed], now) == SearchSpan(START, START + DAY, START + 60)
    assert search_window([built], now) == SearchSpan(START, now, START)
    assert search_window([], now).last == now
    assert search_window([changed], now).start == START + 60
    recent = search_window([not_before(EvidenceKind.FILE, START, "p", "x")], now)
    assert recent == SearchSpan(now - SEARCHED_SECONDS, now, START), "copying sets dates: the root may be older"
    old = not_before(EvidenceKind.FILE, now - SEARCHED_SECONDS - DAY, "p", "x")
    assert search_window([old], now).first == old.first
    contradictory = search_window([not_before(EvidenceKind.BUILD, START + 9 * DAY, "p", "x"), log], now)
    assert contradictory.first < contradictory.last == now
