"""The result of one clean-up of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snapproxy.space.protected_files import Cause, FileFigures


@dataclass(kw_only=True)
class GcReport:
    """The figures of a clean-up; of a dry run, those that it would have.

    `stored`, `protected`, `removable`: the files before the removal. `in_flight`, `interrupted`: the bytes of running
    and of interrupted downloads. `wanted`: the bytes that were to be freed. `removed`: the removed files. `pending` of
    their bytes are free when their readers close them. `tables`: the index tables and listings that were removed.
    `names`: the names that were dropped because their files are gone. `drafts`: the interrupted downloads that were
    removed. `expired`: the captures that were never closed and have expired.
    """

    is_dry_run: bool = False
    quota: int | None = None
    stored: FileFigures = field(default_factory=FileFigures)
    protected: Mapping[Cause, FileFigures] = field(default_factory=dict)
    removable: FileFigures = field(default_factory=FileFigures)
    in_flight: int = 0
    interrupted: int = 0
    wanted: int = 0
    removed: FileFigures = field(default_factory=FileFigures)
    pending: int = 0
    tables: FileFigures = field(default_factory=FileFigures)
    names: int = 0
    drafts: int = 0
    expired: Sequence[str] = ()

    @property
    def reclaimed(self) -> int:
        """The bytes of removed files that the disk has freed."""
        return self.removed.size - self.pending

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "dry_run": self.is_dry_run,
            "quota": self.quota,
            "stored": _figures(self.stored),
            "protected": {cause.word: _figures(self.protected.get(cause, FileFigures())) for cause in Cause},
            "removable": _figures(self.removable),
            "in_flight_bytes": self.in_flight,
            "interrupted_bytes": self.interrupted,
            "wanted_bytes": self.wanted,
            "removed": _figures(self.removed),
            "reclaimed_bytes": self.reclaimed,
            "pending_bytes": self.pending,
            "tables": _figures(self.tables),
            "names_dropped": self.names,
            "drafts_removed": self.drafts,
            "captures_expired": list(self.expired),
        }


def _figures(figures: FileFigures) -> dict[str, int]:
    return {"files": figures.files, "bytes": figures.size}
