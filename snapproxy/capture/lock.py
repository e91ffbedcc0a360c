"""Write a record as a lock, `snapproxy.lock.json`.

The form is canonical: its bytes do not depend on the order of the record's entries. docs/reference/lock-format.md
defines the format; `lock_reader` reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from snapproxy.core.record import Record, RecordEntry
from snapproxy.core.time_spec import format_instant
from snapproxy.formats.canonical_json import canonical

SCHEMA = 1
"""The version of the format: increased only if an older reader would misinterpret a newer lock."""

FILE_NAME = "snapproxy.lock.json"

MEDIA_TYPE = "application/vnd.snapproxy.lock.v1+json"

SECTIONS = ("absences", "archives", "files", "schema", "unpinned")
OPTIONAL_SECTIONS = ("solvers",)
"""Sections that are written only if they are not empty: locks of earlier versions keep their bytes."""

ARCHIVE_MEMBERS = ("archive", "family", "requested", "snapshots", "valid")
ABSENCE_MEMBERS = ("archive", "path", "proof", "requested", "role", "snapshot")
FILE_MEMBERS = (*ABSENCE_MEMBERS, "sha256", "size")


def encode(record: Record) -> bytes:
    """Return the bytes of a record's lock."""
    entries = sorted(record.entries, key=lambda entry: entry.key)
    sections: Mapping[str, Any] = {
        "absences": [_entry(entry) for entry in entries if entry.is_absence],
        "archives": _archives(record),
        "files": [_entry(entry) | _content(entry) for entry in entries if not entry.is_absence],
        "schema": SCHEMA,
        "solvers": sorted(record.solvers),
        "unpinned": sorted(record.unpinned),
    }
    names = [name for name in sections if name in SECTIONS or sections[name]]
    lines = b",\n".join(b'"%s":%s' % (name.encode(), _section(sections[name])) for name in names)
    return b"{\n%s\n}\n" % lines


def digest(record: Record) -> str:
    """Return the sha256 (hex) of a record's lock, which identifies everything that a build was served."""
    return sha256(encode(record)).hexdigest()


def _section(value: Any) -> bytes:
    """Return the JSON of a section; arrays have a line for each item, so that version control shows changes by item."""
    if not isinstance(value, list) or not value:
        return canonical(value)
    return b"[\n" + b",\n".join(canonical(item) for item in value) + b"\n]"


def _archives(record: Record) -> list[dict[str, Any]]:
    found = snapshots_by_time(record.entries)
    return [
        {
            "archive": archive,
            "family": record.families[archive],
            "requested": requested,
            "snapshots": sorted(found[archive, requested]),
            "valid": [format_instant(each) for each in valid]
            if (valid := record.valid.get((archive, requested)))
            else None,
        }
        for archive, requested in sorted(found)
    ]


def snapshots_by_time(entries: Iterable[RecordEntry]) -> Mapping[tuple[str, str], set[str]]:
    """Return the snapshots that answered for each (archive, requested).

    The set is empty if only a service answered, or all answers are absences without a snapshot.
    """
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in entries:
        named = {entry.snapshot} if entry.snapshot and not entry.is_service else set()
        found[entry.archive, entry.requested] |= named
    return found


def _entry(entry: RecordEntry) -> dict[str, Any]:
    return {
        "archive": entry.archive,
        "path": entry.path,
        "proof": entry.proof.word,
        "requested": entry.requested,
        "role": entry.role.value,
        "snapshot": entry.snapshot,
    }


def _content(entry: RecordEntry) -> dict[str, Any]:
    return {"sha256": entry.sha256, "size": entry.size}
