"""Read the arguments that name a pin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snapproxy.capture.captures import Captures
from snapproxy.cli import run_as_owner
from snapproxy.cli.lock_files import read_lock
from snapproxy.cli.times import TimesApp
from snapproxy.core.model import Match, Refusal, TimeSpec
from snapproxy.core.time_spec import parse_time, read_day
from snapproxy.errors import ConfigurationError
from snapproxy.space.pins import Pin, PinKind, Pins, capture_pin, lock_pin, snapshot_pin

_WORDS: Mapping[PinKind, Sequence[str]] = {
    PinKind.CAPTURE: ("NAME",),
    PinKind.SNAPSHOT: ("ARCHIVE", "TIME"),
    PinKind.LOCK: ("FILE",),
}


@dataclass(frozen=True, slots=True)
class NamedPin:
    """A pin that was named. `files`: those of a lock, with their sizes."""

    pin: Pin
    files: dict[str, int] = field(default_factory=dict)


def captures_of(app: TimesApp) -> Captures:
    """Return the captures of the store."""
    families = {name: archive.family for name, archive in app.archives.items()}
    return Captures(app.store, families=families, now=app.clock.now)


async def named_pin(app: TimesApp, kind: str, words: Sequence[str]) -> NamedPin | Refusal:
    """Return the pin that a command line names. Raises ConfigurationError, ClientError and RecordError."""
    wanted = _WORDS[PinKind(kind)]
    if len(words) != len(wanted):
        raise ConfigurationError(f"A {kind} is named by {' and '.join(wanted)}", hint="See `snapproxy pin --help`.")
    match PinKind(kind):
        case PinKind.CAPTURE:
            return NamedPin(capture_pin(captures_of(app), words[0]))
        case PinKind.LOCK:
            with run_as_owner.aside():
                record = read_lock(Path(words[0]))
            files = {entry.sha256: entry.size for entry in record.entries if not entry.is_absence}
            return NamedPin(lock_pin(record, words[0]), files)
        case PinKind.SNAPSHOT:
            return await _snapshot(app, *words)


async def _snapshot(app: TimesApp, archive: str, text: str) -> NamedPin | Refusal:
    """Return the pin of the snapshot that answers for a time. A pinned one needs no question to its archive."""
    row, pins = app.archive(archive), Pins(app.store.catalog, app.store.blobs)
    if pins.has(pin := snapshot_pin(row.name, text)):
        return NamedPin(pin)
    day = read_day(text)
    found = await app.snapshot(row, parse_time(text) if day is None else TimeSpec(text, day, Match.AT))
    return found if isinstance(found, Refusal) else NamedPin(snapshot_pin(row.name, found.snapshot))
