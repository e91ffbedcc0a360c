"""The notes of a capture, each a line of JSON, and their combination into a record. This module does no I/O.

If two notes are about the same request, the first one applies, even if another process wrote it: a build that repeats a
request gets the same answer.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as _quoted

from snapproxy.core.model import Instant, Proof, Role
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import RecordError

_PROOFS = {proof.word: proof for proof in Proof}
_WORDS = tuple(_PROOFS)  # a proof is the index of its word

CLOSED = b'["closed"]'
"""The note after which further notes are ignored."""


@dataclass(slots=True)
class Notes:
    """All notes of a capture so far.

    `valid` is read from captures that earlier versions recorded, and from imported locks; it is not recorded any more,
    because it depends on the content of the store. It narrows with each root.
    """

    entries: dict[tuple[str, str, str], RecordEntry] = field(default_factory=dict)
    frozen: dict[str, Instant] = field(default_factory=dict)
    """The instant that `latest` resolved to, by archive."""
    valid: dict[tuple[str, str], tuple[Instant, Instant]] = field(default_factory=dict)
    unpinned: set[str] = field(default_factory=set)
    solvers: set[str] = field(default_factory=set)
    is_closed: bool = False

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Add notes, in their order.

        An invalid line is ignored: its process was killed while writing it, before the answer was sent.
        """
        for line in lines:
            if not self.is_closed:
                with contextlib.suppress(ValueError):
                    self._add_note(json.loads(line))

    def add(self, entry: RecordEntry) -> None:
        """Add the note of one answer."""
        if not self.is_closed:
            self.entries.setdefault(entry.key, entry)

    def _add_note(self, note: list[object]) -> None:
        match note:
            case [
                "file",
                str(archive),
                str(requested),
                str(snapshot),
                str(path),
                str(role),
                str(proof),
                int(size),
                str(sha256),
            ]:
                self.add(RecordEntry(archive, requested, snapshot, path, Role(role), _PROOFS[proof], size, sha256))
            case ["frozen", str(archive), int(instant)]:
                self.frozen.setdefault(archive, instant)
            case ["valid", str(archive), str(requested), int(first), int(last)]:
                start, end = self.valid.get((archive, requested), (first, last))
                self.valid[archive, requested] = max(start, first), min(end, last)
            case ["passed", str(host)]:
                self.unpinned.add(host)
            case ["solver", str(solver)]:
                self.solvers.add(solver)
            case ["closed"]:
                self.is_closed = True

    def roots(self, archive: str, requested: str) -> list[RecordEntry]:
        """Return the roots of an archive that were served for a requested time."""
        return [
            entry
            for entry in self.entries.values()
            if entry.role is Role.ROOT and entry.key[:2] == (archive, requested) and not entry.is_absence
        ]

    def lines(self) -> list[bytes]:
        """Return lines that give the same notes when they are added."""
        return [
            *(note_entry(entry) for entry in self.entries.values()),
            *(note_frozen(archive, instant) for archive, instant in self.frozen.items()),
            *(note_valid(*key, span) for key, span in self.valid.items()),
            *(note_passed(host) for host in sorted(self.unpinned)),
            *(note_solver(solver) for solver in sorted(self.solvers)),
            *([CLOSED] if self.is_closed else []),
        ]

    def record(self, families: dict[str, str]) -> Record:
        """Return the record of everything served. `families` maps the configured archives to their families.

        Raises RecordError for an archive that is not configured any more.
        """
        names = sorted({entry.archive for entry in self.entries.values()})
        if unknown := [name for name in names if name not in families]:
            raise RecordError(
                "An archive of the capture is not configured",
                why=f"Recorded: {', '.join(unknown)}.",
                hint="Add the archive to the configuration again.",
            )
        entries = tuple(self.entries[key] for key in sorted(self.entries))
        return Record(
            entries,
            {name: families[name] for name in names},
            {key: span for key, span in sorted(self.valid.items()) if span[0] <= span[1]},
            frozenset(self.unpinned),
            frozenset(self.solvers),
        )


def noted_digest(line: bytes) -> str:
    """Return the digest of the file whose answer a line notes, '' for another line."""
    with contextlib.suppress(ValueError):
        match json.loads(line):
            case ["file", _, _, _, _, _, _, _, str(sha256)]:
                return sha256
    return ""


def note_entry(entry: RecordEntry) -> bytes:
    """Return the note of one answer. Does not use `_line`, which takes twice as long: this runs for every answer."""
    key = f"{_quoted(entry.archive)},{_quoted(entry.requested)},{_quoted(entry.snapshot)},{_quoted(entry.path)}"
    return f'["file",{key},"{entry.role}","{_WORDS[entry.proof]}",{entry.size},"{entry.sha256}"]'.encode("ascii")


def note_frozen(archive: str, instant: Instant) -> bytes:
    """Return the note of the instant that `latest` resolved to."""
    return _line("frozen", archive, instant)


def note_valid(archive: str, requested: str, span: tuple[Instant, Instant]) -> bytes:
    """Return the note of a span of instants, ends included, that have the same answers."""
    return _line("valid", archive, requested, *span)


def note_passed(host: str) -> bytes:
    """Return the note of a host that was reached unpinned."""
    return _line("passed", host)


def note_solver(solver: str) -> bytes:
    """Return the note of a solver that chose files of the capture."""
    return _line("solver", solver)


def _line(*values: str | int) -> bytes:
    return f"[{','.join([_quoted(value) if isinstance(value, str) else str(value) for value in values])}]".encode()
