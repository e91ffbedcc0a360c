"""The result of a check of the store, and its form in the catalog."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rich.filesize import decimal

from snapproxy.core.model import Instant

MOST_DAMAGED = 1000
MOST_NAMES = 20
"""Limits of a report: damaged files, and names of each."""


class Repair(enum.Enum):
    """What became of a damaged file, which is never served again.

    `fetched`: upstream sent the same bytes. `waiting`: upstream cannot be asked now; a request fetches it later.
    `lost`: upstream has not sent these bytes. `unneeded`: no name refers to it. `removed`: nothing was asked.
    """

    FETCHED = "fetched"
    WAITING = "waiting"
    LOST = "lost"
    UNNEEDED = "unneeded"
    REMOVED = "removed"


_WORDS = {
    Repair.FETCHED: "fetched again",
    Repair.WAITING: "not fetched yet",
    Repair.LOST: "lost",
    Repair.UNNEEDED: "needed by no name",
    Repair.REMOVED: "not fetched again",
}


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A stored file whose bytes had another digest. `names` need it, `count` of them in all; `why` it was not fetched.

    A name is `<archive>/<snapshot>/<path>`, with `capture NAME: ` before it if a capture needs it.
    """

    digest: str
    size: int
    outcome: Repair
    names: tuple[str, ...] = ()
    count: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Blemishes:
    """Findings other than damaged files.

    `catalog`: what SQLite found wrong. `missing` names refer to files that are not stored, `missing_size` bytes in all.
    `drafts`: downloads that are running or interrupted. `journals` belong to open captures, `stray_journals` to none.
    `strangers`: entries of the state folder that snapproxy did not make. `quarantined`: files in the quarantine.
    """

    catalog: tuple[str, ...] = ()
    missing: int = 0
    missing_size: int = 0
    drafts: int = 0
    drafts_size: int = 0
    journals: int = 0
    stray_journals: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    quarantined: int = 0
    quarantined_size: int = 0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A check of all stored files: `checked` files, `size` bytes. `damaged_count` counts unlisted ones too."""

    begun: Instant
    ended: Instant
    checked: int
    size: int
    damaged: tuple[DamagedFile, ...] = ()
    damaged_count: int = 0
    blemishes: Blemishes = field(default_factory=Blemishes)

    def count(self, outcome: Repair) -> int:
        """Return the number of listed files with an outcome."""
        return sum(each.outcome is outcome for each in self.damaged)

    def line(self) -> str:
        """Return the report as one line."""
        count = f"{self.checked} stored files, {decimal(self.size)}"
        if self.blemishes.catalog:
            count += f"; the catalog is damaged: {self.blemishes.catalog[0]}"
        if not self.damaged_count:
            return f"{count}: all files intact"
        counts = {outcome: self.count(outcome) for outcome in Repair}
        parts = [f"{number} {_WORDS[outcome]}" for outcome, number in counts.items() if number]
        return f"{count}: {self.damaged_count} damaged ({', '.join(parts)})"

    @property
    def is_bad(self) -> bool:
        """Whether something is lost: a file that names need, or a part of the catalog."""
        open_ends = (Repair.LOST, Repair.WAITING, Repair.REMOVED)
        return bool(self.blemishes.catalog) or any(each.outcome in open_ends for each in self.damaged)


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """A check that is not finished: every blob that sorts up to `after` was hashed."""

    begun: Instant
    after: str = ""
    checked: int = 0
    size: int = 0
    damaged: tuple[DamagedFile, ...] = ()
    damaged_count: int = 0

    def plus(self, digest: str, size: int, *, is_present: bool) -> CheckProgress:
        """Return the state after one more blob, of which `size` bytes were read."""
        checked = self.checked + int(is_present)
        return replace(self, after=digest, checked=checked, size=self.size + size)


def damaged_as_json(file: DamagedFile) -> dict[str, Any]:
    """Return a damaged file for JSON."""
    return {
        "sha256": file.digest,
        "size": file.size,
        "outcome": file.outcome.value,
        "names": list(file.names),
        "name_count": file.count,
        "why": file.why,
    }


def damaged_from_json(value: Mapping[str, Any]) -> DamagedFile:
    """Read what `damaged_as_json` wrote."""
    return DamagedFile(
        value["sha256"],
        value["size"],
        Repair(value["outcome"]),
        tuple(value["names"]),
        value["name_count"],
        value["why"],
    )


def progress_as_json(progress: CheckProgress) -> dict[str, Any]:
    """Return the state of an unfinished check for the catalog."""
    return {
        "begun": progress.begun,
        "after": progress.after,
        "checked": progress.checked,
        "size": progress.size,
        "damaged": [damaged_as_json(each) for each in progress.damaged],
        "damaged_count": progress.damaged_count,
    }


def progress_from_json(value: Mapping[str, Any]) -> CheckProgress:
    """Read what `progress_as_json` wrote."""
    damaged = tuple(map(damaged_from_json, value["damaged"]))
    return CheckProgress(
        value["begun"], value["after"], value["checked"], value["size"], damaged, value["damaged_count"]
    )


def report_as_json(report: CheckReport) -> dict[str, Any]:
    """Return a report for JSON."""
    found = report.blemishes
    return {
        "begun": report.begun,
        "ended": report.ended,
        "checked": report.checked,
        "bytes": report.size,
        "damaged_count": report.damaged_count,
        "damaged": [damaged_as_json(each) for each in report.damaged],
        "catalog": list(found.catalog),
        "missing": {"names": found.missing, "bytes": found.missing_size},
        "drafts": {"files": found.drafts, "bytes": found.drafts_size},
        "journals": {"open": found.journals, "stray": list(found.stray_journals)},
        "strangers": list(found.strangers),
        "quarantine": {"files": found.quarantined, "bytes": found.quarantined_size},
    }
