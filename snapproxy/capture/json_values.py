"""The numbers and entries of a capture as JSON values, for the command line and for pages."""

from __future__ import annotations

from typing import Any

from snapproxy.capture.captures import CaptureSummary
from snapproxy.core.record import RecordEntry
from snapproxy.core.time_spec import format_instant


def summary_value(summary: CaptureSummary) -> dict[str, Any]:
    """Return the numbers of a capture."""
    return {
        "name": summary.name,
        "begun": format_instant(summary.begun),
        "closed": summary.is_closed,
        "archives": list(summary.archives),
        "files": summary.files,
        "absences": summary.absences,
        "bytes": summary.size,
    }


def entry_value(entry: RecordEntry) -> dict[str, Any]:
    """Return an entry: a file with `size` in bytes and `sha256`, or an absence with `absent`."""
    value: dict[str, Any] = {
        "archive": entry.archive,
        "requested": entry.requested,
        "snapshot": entry.snapshot,
        "path": entry.path,
        "role": entry.role.value,
        "proof": entry.proof.word,
    }
    return value | ({"absent": True} if entry.is_absence else {"size": entry.size, "sha256": entry.sha256})
