"""Read captures for pages, beside the builds that record into them: in threads, page by page, without a change.

A closed capture is read from the catalog, an open one from its journal. The numbers of a closed capture never change,
so they are kept in memory.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from snapproxy.capture.captures import REGISTER, CaptureSummary, capture_space, entry_of, summary_of
from snapproxy.capture.notes import Notes
from snapproxy.core.model import Instant, Proof
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import ClientError
from snapproxy_storage import Name, Store

MOST_READ = 260_000
"""Maximum number of answers that are read of a capture; a capture has at most 250,000."""

MOST_KEPT = 1024
"""Number of captures whose numbers are kept in memory."""


class UnknownCaptureError(ClientError):
    """No capture has the requested name."""

    status = 404


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A part of the answers of a capture, sorted by key. `next_key`: the key to continue after, '' at the end."""

    entries: tuple[RecordEntry, ...]
    next_key: str = ""


class CaptureReader:
    """Reads the captures of a store. `families`: the family of each archive, by its name.

    Its methods raise UnknownCaptureError, RecordError and StorageFailure.
    """

    def __init__(self, store: Store, families: Mapping[str, str]) -> None:
        self._overview = store.overview
        self._catalog = store.catalog
        self._families = dict(families)
        self._numbers: OrderedDict[str, CaptureSummary] = OrderedDict()

    async def page(self, after: str, most: int) -> tuple[list[CaptureSummary], bool]:
        """Return the summaries of the first captures with names greater than `after`, and whether there are more."""
        found = await self._overview.names(REGISTER, after=after, most=most + 1)
        return [await self._summary(name, entry) for name, entry in found[:most]], len(found) > most

    async def names(self, most: int) -> list[str]:
        """Return the first names of captures, sorted."""
        return [name for name, _ in await self._overview.names(REGISTER, most=most)]

    async def summary(self, name: str) -> CaptureSummary:
        """Return the numbers of a capture."""
        return await self._summary(name, self._known(name))

    async def record(self, name: str) -> Record:
        """Return the whole record. It takes a second for the largest ones, in a thread."""
        notes = await self._notes(self._id(name))
        return await asyncio.to_thread(notes.record, self._families)

    async def entries(self, name: str, *, after: str, most: int) -> RecordPage:
        """Return the first answers with keys greater than `after`."""
        key = self._id(name)
        if self._is_closed(key):
            rows = await self._overview.names(capture_space(key), after=after, most=most + 1)
            found: Sequence[tuple[str, RecordEntry]] = [(row, entry_of(row, value)) for row, value in rows]
        else:
            notes = await self._notes(key)
            found = await asyncio.to_thread(_following, notes, after, most + 1)
        shown = found[:most]
        return RecordPage(tuple(entry for _, entry in shown), shown[-1][0] if len(found) > most else "")

    def _known(self, name: str) -> Name:
        entry = self._catalog.name(REGISTER, name)
        if entry is None:
            raise UnknownCaptureError("No capture has that name", hint="The page of captures lists them.")
        return entry

    def _id(self, name: str) -> str:
        return str(self._known(name).extra["id"])

    def _is_closed(self, key: str) -> bool:
        return self._catalog.fact(capture_space(key), 0) is not None

    async def _summary(self, name: str, registered: Name) -> CaptureSummary:
        key, begun = str(registered.extra["id"]), int(registered.extra["begun"])
        kept = self._numbers.get(key)
        if kept is not None:
            self._numbers.move_to_end(key)
            return replace(kept, name=name)
        if self._is_closed(key):
            totals = await self._overview.totals(capture_space(key))
            found = _numbers(name, begun, await self._archives(key), totals.names, totals.absences, totals.size)
            self._numbers[key] = found
            if len(self._numbers) > MOST_KEPT:
                self._numbers.popitem(last=False)
            return found
        notes = await self._notes(key)
        return await asyncio.to_thread(summary_of, name, begun, notes, is_closed=notes.is_closed)

    async def _archives(self, key: str) -> tuple[str, ...]:
        """Return the archives of a closed capture: the keys of its answers begin with them, so each is one look."""
        found: list[str] = []
        after = ""
        while rows := await self._overview.names(capture_space(key), after=after, most=1):
            found.append(rows[0][0].partition(" ")[0])
            after = f"{found[-1]}!"  # the first character after a blank
        return tuple(found)

    async def _notes(self, key: str) -> Notes:
        if not self._is_closed(key):
            lines = await self._overview.journal(key)
            if lines or not self._is_closed(key):
                return await asyncio.to_thread(_read_journal, lines)
        rows = await self._overview.names(capture_space(key), most=MOST_READ)
        others: list[str] = self._catalog.fact(capture_space(key), 0) or []
        return await asyncio.to_thread(_read_catalog, rows, others)


def _numbers(
    name: str, begun: Instant, archives: tuple[str, ...], names: int, absences: int, size: int
) -> CaptureSummary:
    return CaptureSummary(name, begun, True, archives, names - absences, absences, size)  # noqa: FBT003 # it is closed


def _following(notes: Notes, after: str, most: int) -> list[tuple[str, RecordEntry]]:
    keyed = sorted((" ".join(entry.key), entry) for entry in notes.entries.values() if " ".join(entry.key) > after)
    return keyed[:most]


def _read_journal(lines: Sequence[bytes]) -> Notes:
    notes = Notes()
    notes.add_lines(lines)
    return notes


def _read_catalog(rows: Sequence[tuple[str, Name]], others: Sequence[str]) -> Notes:
    notes = Notes()
    notes.entries = {entry.key: entry for entry in (entry_of(*row) for row in rows)}
    notes.add_lines(line.encode() for line in others)
    return notes


def why_unverified(entry: RecordEntry) -> str:
    """Return why the bytes of an answer have no chain of digests from a checked signature, '' if they have one."""
    if entry.proof is Proof.GPG:
        return ""
    if entry.is_service:
        return "The answer of an archive's service: no index lists it."
    if entry.proof is Proof.INDEX:
        return "An index lists it, but the signature of the root was not checked, or a step has only a weak digest."
    if entry.proof is Proof.DIGEST:
        return "Its digest is part of its address; no index of the snapshot lists it."
    if entry.role.value == "root":
        return "The root has no signature that a configured keyring checks."
    if entry.role.value == "signature":
        return "A signature is checked with its root; alone it proves nothing."
    return "No root or index lists it."
