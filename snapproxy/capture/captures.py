"""Captures by name: their storage, and the operations on them.

This is the only module that defines the catalog's spaces for captures:
- names `captures`: a capture's name -> its id (in `extra`). All other keys contain the id, so that a
  capture can be renamed
- the journal of that id: the notes of an open capture
- names `capture/<id>`: the answers of a closed capture, and fact `capture/<id>`: its other notes
- names `absent:<archive>/<snapshot>` (`core.record.absences_of`): the absences of closed captures. They outlive the
  captures, as files do

Closing moves the journal into the catalog. It is crash-safe: it can be interrupted at any step and is completed on the
next attempt.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from snapproxy.base.protected_space import is_quota_protected, protected_bytes
from snapproxy.base.references import check_stored, no_eviction
from snapproxy.capture.notes import CLOSED, Notes, note_entry, note_solver
from snapproxy.core.credentials import is_capture_name
from snapproxy.core.model import LIVE, Instant, Proof, Role
from snapproxy.core.record import SOLVER_TEXT, Record, RecordEntry, absences_of
from snapproxy.errors import ClientError
from snapproxy_storage import Journal, JournalRemoved, Name, Store

REGISTER = "captures"
"""The catalog space of the names of captures: name -> id and begin."""

WRITERS_IN_MEMORY = 512
NOTES_IN_MEMORY = 50_000
"""Limits for the notes of captures in memory (about 1 kB each): those of unused captures are read again on demand."""

MOST_ENTRIES = 250_000
"""Maximum number of answers in one capture: several times the packages of a whole release of a distribution."""


class TooManyCapturesError(ClientError):
    """No further capture can be opened."""

    status = 403


class QuotaProtectedError(ClientError):
    """No capture can be opened, because no file can be removed for its files."""

    status = 403


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """The summary of a capture.

    `files` and `absences` count answers, `size` is in bytes; `begun` is the time of the first recording.
    """

    name: str
    begun: Instant
    is_closed: bool
    archives: tuple[str, ...]
    files: int
    absences: int
    size: int


class CaptureWriter:
    """A capture that this process records into. `notes` are the notes of all processes so far.

    `add` and `note` raise JournalRemoved if the capture was closed or removed in the meantime: open it again.
    """

    def __init__(self, journal: Journal | None) -> None:
        """`journal` is None for a closed capture: further notes are ignored."""
        self._journal = journal
        self.notes = Notes()

    def note(self, entry: RecordEntry) -> None:
        """Record an answer.

        Afterwards `notes` has the first answer to the same request, from this process or another.
        """
        if self._journal is None:
            return
        lines = (note_entry(entry),)
        new_lines = self._journal.add(lines)
        if new_lines is lines:  # no other process has written: this process's own note need not be parsed
            self.notes.add(entry)
        else:
            self.notes.add_lines(new_lines)

    def add(self, *lines: bytes) -> None:
        """Record notes of other kinds, and read the new notes of other processes."""
        if self._journal is not None:
            self.notes.add_lines(self._journal.add(lines))

    async def sync(self) -> None:
        """Flush the notes to disk, so that they survive a power cut."""
        if self._journal is not None:
            await self._journal.sync()

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()


def summary_of(name: str, begun: Instant, notes: Notes, *, is_closed: bool) -> CaptureSummary:
    """Return the summary of a capture by its notes."""
    files = [entry for entry in notes.entries.values() if not entry.is_absence]
    sizes = {entry.sha256: entry.size for entry in files}
    archives = tuple(sorted({entry.archive for entry in notes.entries.values()}))
    absences = len(notes.entries) - len(files)
    return CaptureSummary(name, begun, is_closed, archives, len(files), absences, sum(sizes.values()))


class Captures:
    """The captures of one store."""

    def __init__(
        self,
        store: Store,
        *,
        families: Mapping[str, str],
        now: Callable[[], Instant],
        most_open: int = 10_000,
    ) -> None:
        """`most_open`: how many captures may be open at once, in the whole store."""
        self._store = store
        self._most_open = most_open
        self._families = dict(families)
        self._now = now
        self._writers: OrderedDict[str, tuple[str, CaptureWriter]] = OrderedDict()
        self._epoch = store.catalog.epoch

    # --- recording ----------------------------------------------------------------------------------------

    def get_open(self, name: str) -> CaptureWriter | None:
        """Return the writer of a capture if this process has it open."""
        if self._epoch != self._store.catalog.epoch:  # something was invalidated, possibly a capture's name
            self._epoch = self._store.catalog.epoch
            self._drop_stale()
        opened = self._writers.get(name)
        if opened is None:
            return None
        self._writers.move_to_end(name)
        return opened[1]

    async def open(self, name: str) -> CaptureWriter:
        """Return the writer of a capture; create the capture if it does not exist.

        Raises TooManyCapturesError instead of creating one beyond the limit, and QuotaProtectedError.
        """
        key = self._id(name) or await self._begin(name)
        writer = self.get_open(name)
        if writer is None:
            if self._is_in_catalog(key):
                writer = CaptureWriter(None)
                writer.notes = self._notes(key)
            else:
                writer = self._writer(key)
                writer.add()
            self._writers[name] = key, writer
            self._forget_unused()
        return writer

    async def add_solver(self, name: str, solver: str) -> None:
        """Record a solver that chose files of an open capture; create the capture if it does not exist.

        `solver` has the form SOLVER_TEXT. Raises ClientError if the capture is closed, and the errors of `open`.
        """
        if not SOLVER_TEXT.fullmatch(solver):
            raise ValueError(f"not the text of a solver: {solver!r}")
        writer = await self.open(name)
        try:
            writer.add(note_solver(solver))
        except JournalRemoved:  # another process has closed or removed the capture
            self.forget(name)
            writer = await self.open(name)
            writer.add(note_solver(solver))
        if solver not in writer.notes.solvers:
            raise ClientError(
                "The capture is closed", why=f"Nothing more is recorded into {name}.", hint="Record under another name."
            )

    def forget(self, name: str) -> None:
        """Forget the writer of a capture; `open` reads its notes again."""
        opened = self._writers.pop(name, None)
        if opened is not None:
            opened[1].close()

    def close_writers(self) -> None:
        """Close the writers of this process."""
        for _, writer in self._writers.values():
            writer.close()
        self._writers.clear()

    # --- by hand ------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of all captures, sorted."""
        return [name for name, _ in self._store.catalog.names(REGISTER)]

    async def summary(self, name: str) -> CaptureSummary:
        """Return the summary of a capture. Raises ClientError if no capture has that name."""
        key, notes = await self._known(name)
        return summary_of(name, self._begun(name), notes, is_closed=self._is_in_catalog(key) or notes.is_closed)

    def ids(self) -> dict[str, str]:
        """Return the name of each capture by its id, which a new name does not change.

        The journal of an open one has its id as its name.
        """
        return {str(entry.extra["id"]): name for name, entry in self._store.catalog.names(REGISTER)}

    async def entries(self, name: str) -> Collection[RecordEntry]:
        """Return the entries of a capture, also those of archives that are not configured any more.

        Raises the same errors as `summary`.
        """
        _, notes = await self._known(name)
        return notes.entries.values()

    async def record(self, name: str) -> Record:
        """Return the record of a capture. Raises RecordError, and the same errors as `summary`."""
        _, notes = await self._known(name)
        return notes.record(self._families)

    async def close(self, name: str) -> None:
        """Close a capture: nothing more is recorded into it. Raises the same errors as `summary`."""
        key, _ = await self._known(name)
        if self._is_in_catalog(key):
            return
        with self._opened(key) as writer:
            writer.add(CLOSED)
            await writer.sync()
            await self._move_to_catalog(key, writer.notes)

    async def rename(self, name: str, to: str) -> None:
        """Rename a capture. Raises ClientError for an unknown or invalid name, and for a new name that is in use."""
        key, _ = await self._known(name)
        _check_name(to)
        await self._register(to, key, self._begun(name))
        await self._store.catalog.drop_name(REGISTER, name)

    async def remove(self, name: str) -> None:
        """Delete a capture; the files that it names stay in the store. Raises the same errors as `summary`."""
        key, _ = await self._known(name)
        await self._store.catalog.drop_name(REGISTER, name)
        with self._opened(key) as writer:
            writer.add(CLOSED)  # processes that still have it open read that it is closed
        await self._store.catalog.drop_space(capture_space(key))
        await self._store.catalog.drop_fact(capture_space(key))
        await self._store.journals.remove(key)

    def check_new(self, name: str) -> None:
        """Check that a new capture can have this name. Raises ClientError."""
        _check_name(name)
        if self._id(name) is not None:
            raise _name_in_use(name)

    async def restore(self, name: str, notes: Notes, *, trusted: Container[str]) -> None:
        """Store an imported capture, closed. Raises ClientError if a capture has that name already.

        Raises StorageError if the store lacks one of its files. `trusted`: the spaces (`<archive>/<snapshot>`) whose
        absences are valid for all requests, not only within this capture.
        """
        _check_name(name)
        key = secrets.token_hex(16)
        async with no_eviction(self._store.blobs):
            await check_stored(self._store.blobs, {entry.sha256 for entry in notes.entries.values()} - {""})
            await self._register(name, key, self._now())
            await self._move_to_catalog(key, replace(notes, is_closed=True), trusted)

    # --- storage --------------------------------------------------------------------------------------------

    def _forget_unused(self) -> None:
        """Forget the captures that were used least recently while the notes in memory exceed the limits."""
        count = sum(len(writer.notes.entries) for _, writer in self._writers.values())
        while len(self._writers) > 1 and (count > NOTES_IN_MEMORY or len(self._writers) > WRITERS_IN_MEMORY):
            _, (_, writer) = self._writers.popitem(last=False)
            count -= len(writer.notes.entries)
            writer.close()

    async def _begin(self, name: str) -> str:
        _check_name(name)
        if await self._store.journals.count() >= self._most_open:
            raise TooManyCapturesError(
                "Too many captures are open: close some of them first",
                why=f"{self._most_open} captures are open, as many as the setting `open_captures` allows.",
                hint="Run `snapproxy capture close NAME` after each build, or raise the setting.",
            )
        _check_room(self._store)
        entry = await self._store.catalog.put_name(REGISTER, name, _registered(secrets.token_hex(16), self._now()))
        return str(entry.extra["id"])

    async def _register(self, name: str, key: str, begun: Instant) -> None:
        entry = await self._store.catalog.put_name(REGISTER, name, _registered(key, begun))
        if entry.extra["id"] != key:
            raise _name_in_use(name)

    async def _known(self, name: str) -> tuple[str, Notes]:
        """Return the id of a capture and all its notes."""
        key = self._id(name)
        if key is None:
            known = ", ".join(self.names()) or "none"
            raise ClientError("No capture has that name", why=f"Requested: {name!r}. Existing captures: {known}.")
        if self._is_in_catalog(key):
            return key, self._notes(key)
        with self._opened(key) as writer:
            writer.add()
            return key, writer.notes

    def _id(self, name: str) -> str | None:
        entry = self._store.catalog.name(REGISTER, name)
        return None if entry is None else str(entry.extra["id"])

    def _begun(self, name: str) -> Instant:
        entry = self._store.catalog.name(REGISTER, name)
        return 0 if entry is None else int(entry.extra["begun"])

    def _writer(self, key: str) -> CaptureWriter:
        return CaptureWriter(self._store.journals.open(key))

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[CaptureWriter]:
        writer = self._writer(key)
        try:
            yield writer
        finally:
            writer.close()

    def _drop_stale(self) -> None:
        for name, (key, writer) in list(self._writers.items()):
            if self._id(name) != key:
                writer.close()
                del self._writers[name]

    def _is_in_catalog(self, key: str) -> bool:
        return self._store.catalog.fact(capture_space(key), 0) is not None

    async def _move_to_catalog(self, key: str, notes: Notes, trusted: Container[str] | None = None) -> None:
        """Move a closed capture's notes into the catalog. `trusted` as in `restore`; None means all spaces."""
        answers = {" ".join(entry.key): _answer(entry) for entry in notes.entries.values()}
        others = replace(notes, entries={}, is_closed=True)
        await self._store.catalog.put_names(capture_space(key), answers)
        for space, absences in _absences(notes).items():
            if trusted is None or space in trusted:
                await self._store.catalog.put_names(absences_of(space), absences, at=self._now())
        await self._store.catalog.put_fact(capture_space(key), [line.decode() for line in others.lines()])
        await self._store.journals.remove(key)

    def _notes(self, key: str) -> Notes:
        """Read a capture from the catalog."""
        notes = Notes()
        notes.entries = {
            entry.key: entry for entry in (entry_of(*each) for each in self._store.catalog.names(capture_space(key)))
        }
        notes.add_lines(line.encode() for line in self._store.catalog.fact(capture_space(key), 0) or ())
        return notes


def _check_name(name: str) -> None:
    if not is_capture_name(name):
        raise ClientError(
            "Invalid capture name",
            why=f"{name!r} does not begin with a letter or digit, or contains characters other than "
            "a-z, 0-9, '.', '_', '-'.",
            hint="Names have at most 63 characters; x is reserved, and `.snp-` begins a token.",
        )


def _check_room(store: Store) -> None:
    if is_quota_protected(store):
        raise QuotaProtectedError(
            "Files that may not be removed fill the quota: no new capture is recorded",
            why=f"Captures, pins and observations need {protected_bytes(store)} bytes "
            f"of the quota of {store.space.limit}.",
            hint="Remove captures or pins (`snapproxy capture remove`, `snapproxy unpin`), or raise `quota`.",
        )


def _name_in_use(name: str) -> ClientError:
    return ClientError(
        "A capture of that name exists already", why=name, hint="Remove it first, or choose another name."
    )


def capture_space(key: str) -> str:
    """Return the catalog space of the answers of a closed capture; the fact of the same name has its other notes."""
    return f"capture/{key}"


def _answer(entry: RecordEntry) -> Name:
    return Name(entry.sha256, entry.size, int(entry.proof), {"snapshot": entry.snapshot, "role": entry.role.value})


def _absences(notes: Notes) -> dict[str, dict[str, Name]]:
    """Return the absences, by the snapshots in which they are known."""
    found: dict[str, dict[str, Name]] = {}
    for entry in notes.entries.values():
        if entry.is_absence and entry.snapshot not in ("", LIVE):
            found.setdefault(f"{entry.archive}/{entry.snapshot}", {})[entry.path] = Name("", 0, int(entry.proof), {})
    return found


def entry_of(key: str, name: Name) -> RecordEntry:
    """Return the answer that a name in the space of a closed capture states."""
    archive, requested, path = key.split(" ", 2)
    role, proof = Role(name.extra["role"]), Proof(name.proof)
    return RecordEntry(archive, requested, str(name.extra["snapshot"]), path, role, proof, name.size, name.digest)


def _registered(key: str, begun: Instant) -> Name:
    return Name("", 0, 0, {"id": key, "begun": begun})
