"""Captures by name: where each is kept, and what can be done with one.

Which space of the catalog holds what is written down here and nowhere else:
- names `captures`: a capture's name -> its id (in `extra`), under which everything else of it is kept, so that it can be renamed
- the journal of that id: the notes of a capture that is open
- names `capture/<id>`: the answers of one that is closed, and fact `capture/<id>`: its other notes
- names `absent:<archive>/<snapshot>` (`core.record.absences_of`): what closed captures found missing. It outlives them, as files do

Closing folds the journal into the catalog. Every step may be the last one a process lives to do: what is closed half-way is closed again.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from snapproxy.capture.notes import CLOSED, Notes, note_entry
from snapproxy.core.credentials import is_capture_name
from snapproxy.core.model import LIVE, Instant, Proof, Role
from snapproxy.core.record import Record, RecordEntry, absences_of
from snapproxy.errors import ClientError
from snapproxy_storage import Journal, Name, Store

_REGISTER = "captures"


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """A capture at a glance. `files` and `absences` count answers, `size` is in bytes; `begun` is when it was first recorded into."""

    name: str
    begun: Instant
    is_closed: bool
    archives: tuple[str, ...]
    files: int
    absences: int
    size: int


class CaptureWriter:
    """A capture that this process records into: what was noted so far, by whomever, and the way to add to it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.notes = Notes()

    def note(self, entry: RecordEntry) -> None:
        """Note an answer; what was noted first on its question is in `notes` then, whoever noted it."""
        lines = (note_entry(entry),)
        news = self._journal.add(lines)
        if news is lines:  # nobody else has written: our own note need not be read
            self.notes.add(entry)
        else:
            self.notes.take(news)

    def add(self, *lines: bytes) -> None:
        """Add other notes, and learn those of others."""
        self.notes.take(self._journal.add(lines))

    async def sync(self) -> None:
        """Make what was noted survive a power cut."""
        await self._journal.sync()

    def close(self) -> None:
        self._journal.close()


class Captures:
    """The captures of one store."""

    def __init__(self, store: Store, *, families: Mapping[str, str], now: Callable[[], Instant]) -> None:
        self._store = store
        self._families = dict(families)
        self._now = now
        self._ledgers: dict[str, tuple[str, CaptureWriter]] = {}
        self._epoch = store.catalog.epoch

    # --- recording --------------------------------------------------------------------------------------------------------

    def at_hand(self, name: str) -> CaptureWriter | None:
        """Return the capture to record into if this process has it open."""
        if self._epoch != self._store.catalog.epoch:  # something was taken back: perhaps a capture's name
            self._epoch = self._store.catalog.epoch
            self._forget_stale()
        opened = self._ledgers.get(name)
        return None if opened is None else opened[1]

    async def ledger(self, name: str) -> CaptureWriter:
        """Return the capture to record into; it begins to exist with that."""
        key = self._id(name) or await self._begin(name)
        ledger = self.at_hand(name)
        if ledger is None:
            ledger = self._open(key)
            if self._is_folded(key):
                ledger.notes = self._notes(key)
            self._ledgers[name] = key, ledger
        return ledger

    def close_ledgers(self) -> None:
        """Close what this process has open."""
        for _, ledger in self._ledgers.values():
            ledger.close()
        self._ledgers.clear()

    # --- by hand ----------------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of all captures, sorted."""
        return [name for name, _ in self._store.catalog.names(_REGISTER)]

    async def summary(self, name: str) -> CaptureSummary:
        """Return a capture at a glance. Raises ClientError when there is none of that name."""
        key, notes = await self._known(name)
        held = [entry for entry in notes.entries.values() if not entry.is_absence]
        sizes = {entry.sha256: entry.size for entry in held}
        return CaptureSummary(
            name,
            self._begun(name),
            self._is_folded(key) or notes.is_closed,
            tuple(sorted({entry.archive for entry in notes.entries.values()})),
            len(held),
            len(notes.entries) - len(held),
            sum(sizes.values()),
        )

    async def record(self, name: str) -> Record:
        """Return what a capture holds. Raises ClientError as `summary`."""
        _, notes = await self._known(name)
        return notes.record(self._families)

    async def close(self, name: str) -> None:
        """Let a capture take nothing more. Raises ClientError as `summary`."""
        key, _ = await self._known(name)
        if self._is_folded(key):
            return
        with self._opened(key) as ledger:
            ledger.add(CLOSED)
            await ledger.sync()
            await self._fold(key, ledger.notes)

    async def rename(self, name: str, to: str) -> None:
        """Give a capture another name. Raises ClientError as `summary`, for what cannot be a name, and for one that is taken."""
        key, _ = await self._known(name)
        self._check(to)
        await self._register(to, key, self._begun(name))
        await self._store.catalog.drop_name(_REGISTER, name)

    async def remove(self, name: str) -> None:
        """Forget a capture; the files it names stay in the store. Raises ClientError as `summary`."""
        key, _ = await self._known(name)
        await self._store.catalog.drop_name(_REGISTER, name)
        with self._opened(key) as ledger:
            ledger.add(CLOSED)  # whoever still has it open sees that it takes nothing more
        await self._store.catalog.drop_space(_space(key))
        await self._store.catalog.drop_fact(_space(key))
        await self._store.journals.remove(key)

    def check_new(self, name: str) -> None:
        """Make sure that a capture can be given this name. Raises ClientError."""
        self._check(name)
        if self._id(name) is not None:
            raise _taken(name)

    async def restore(self, name: str, notes: Notes, *, believed: Container[str]) -> None:
        """Keep a capture that came from elsewhere, closed. Raises ClientError when there is one of that name.

        `believed`: the spaces (`<archive>/<snapshot>`) in which its absences count for whoever asks, not in this capture alone.
        """
        self._check(name)
        key = secrets.token_hex(16)
        await self._register(name, key, self._now())
        await self._fold(key, replace(notes, is_closed=True), believed)

    # --- how it is kept ---------------------------------------------------------------------------------------------------

    async def _begin(self, name: str) -> str:
        self._check(name)
        standing = await self._store.catalog.put_name(_REGISTER, name, _registered(secrets.token_hex(16), self._now()))
        return str(standing.extra["id"])

    async def _register(self, name: str, key: str, begun: Instant) -> None:
        standing = await self._store.catalog.put_name(_REGISTER, name, _registered(key, begun))
        if standing.extra["id"] != key:
            raise _taken(name)

    @staticmethod
    def _check(name: str) -> None:
        if not is_capture_name(name):
            raise ClientError(
                "That is not the name of a capture",
                why=f"{name!r} does not begin with a letter or digit, or holds something else than a-z, 0-9, '.', '_', '-'.",
                hint="Names are up to 63 characters; x is taken, and `.snp-` begins a token.",
            )

    async def _known(self, name: str) -> tuple[str, Notes]:
        """Return the id of a capture and everything noted in it."""
        key = self._id(name)
        if key is None:
            known = ", ".join(self.names()) or "none yet"
            raise ClientError("There is no capture of that name", why=f"{name!r}; there are: {known}.")
        if self._is_folded(key):
            return key, self._notes(key)
        with self._opened(key) as ledger:
            ledger.add()
            return key, ledger.notes

    def _id(self, name: str) -> str | None:
        entry = self._store.catalog.name(_REGISTER, name)
        return None if entry is None else str(entry.extra["id"])

    def _begun(self, name: str) -> Instant:
        entry = self._store.catalog.name(_REGISTER, name)
        return 0 if entry is None else int(entry.extra["begun"])

    def _open(self, key: str) -> CaptureWriter:
        return CaptureWriter(self._store.journals.open(key))

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[CaptureWriter]:
        ledger = self._open(key)
        try:
            yield ledger
        finally:
            ledger.close()

    def _forget_stale(self) -> None:
        for name, (key, ledger) in list(self._ledgers.items()):
            if self._id(name) != key:
                ledger.close()
                del self._ledgers[name]

    def _is_folded(self, key: str) -> bool:
        return self._store.catalog.fact(_space(key), 0) is not None

    async def _fold(self, key: str, notes: Notes, believed: Container[str] | None = None) -> None:
        """Move a closed capture's notes into the catalog. `believed` as in `restore`; None for all."""
        answers = {" ".join(entry.key): _answer(entry) for entry in notes.entries.values()}
        others = Notes(frozen=notes.frozen, valid=notes.valid, unpinned=notes.unpinned, is_closed=True)
        await self._store.catalog.put_names(_space(key), answers)
        for space, absences in _absences(notes).items():
            if believed is None or space in believed:
                await self._store.catalog.put_names(absences_of(space), absences)
        await self._store.catalog.put_fact(_space(key), [line.decode() for line in others.lines()])
        await self._store.journals.remove(key)

    def _notes(self, key: str) -> Notes:
        """Read a folded capture."""
        notes = Notes()
        notes.entries = {
            entry.key: entry for entry in (_entry(*each) for each in self._store.catalog.names(_space(key)))
        }
        notes.take(line.encode() for line in self._store.catalog.fact(_space(key), 0) or ())
        return notes


def _taken(name: str) -> ClientError:
    return ClientError("A capture of that name exists", why=name, hint="Remove it first, or choose another name.")


def _space(key: str) -> str:
    return f"capture/{key}"


def _answer(entry: RecordEntry) -> Name:
    return Name(entry.sha256, entry.size, int(entry.proof), {"snapshot": entry.snapshot, "role": entry.role.value})


def _absences(notes: Notes) -> dict[str, dict[str, Name]]:
    """Return what was missing, by the snapshots that are known to have lacked it."""
    found: dict[str, dict[str, Name]] = {}
    for entry in notes.entries.values():
        if entry.is_absence and entry.snapshot not in ("", LIVE):
            found.setdefault(f"{entry.archive}/{entry.snapshot}", {})[entry.path] = Name("", 0, int(entry.proof), {})
    return found


def _entry(key: str, name: Name) -> RecordEntry:
    archive, requested, path = key.split(" ", 2)
    role, proof = Role(name.extra["role"]), Proof(name.proof)
    return RecordEntry(archive, requested, str(name.extra["snapshot"]), path, role, proof, name.size, name.digest)


def _registered(key: str, begun: Instant) -> Name:
    return Name("", 0, 0, {"id": key, "begun": begun})
