"""Report a prefetch: lines for people, one object for scripts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.filesize import decimal

from snapproxy.core.model import Refusal, TimeSpec
from snapproxy.core.time_spec import format_instant
from snapproxy.prefetch.estimate import Bounds, Estimate
from snapproxy.prefetch.fetch_files import FileOutcome, PrefetchedFile, missing_files
from snapproxy.prefetch.model import IS_FOUND, ResolvedEntry, WantedFile
from snapproxy.prefetch.progress import estimate_line
from snapproxy.prefetch.resolution_report import entry_lines

MOST_SHOWN = 50
"""Maximum number of entries of one finding that are printed for people; --json has all."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The files to fetch, the notes for the user, and the solver that computed them ('' for none).

    `entries` are the entries of lists with their outcomes, `times` the chosen times of each archive.
    """

    files: tuple[WantedFile, ...]
    notes: tuple[str, ...] = ()
    solver: str = ""
    entries: tuple[ResolvedEntry, ...] = ()
    times: tuple[tuple[str, TimeSpec], ...] = ()

    @property
    def unresolved(self) -> tuple[ResolvedEntry, ...]:
        """The entries without a file to fetch."""
        return tuple(each for each in self.entries if each.finding not in IS_FOUND)


@dataclass(frozen=True, slots=True)
class Prefetched:
    """The result: the selection, the estimate before the start, the outcome of each file (none for a dry run)."""

    selected: Selected
    estimate: Estimate
    outcomes: Mapping[WantedFile, FileOutcome] = field(default_factory=dict)

    @property
    def missing(self) -> Mapping[WantedFile, Refusal]:
        """The files that could not be fetched."""
        return missing_files(self.outcomes)

    @property
    def is_complete(self) -> bool:
        """Whether every entry was found and no file is missing."""
        return not (self.missing or self.selected.unresolved)


def show(found: Prefetched, capture: str) -> None:
    """Print the result, and each missing file on stderr."""
    for line in lines(found, capture):
        print(line)
    for file, refusal in found.missing.items():
        reasons = (refusal.reason, refusal.why, refusal.hint)
        print(f"snapproxy: {file.path}: {refusal.status}", *(f"  {text}" for text in reasons if text), sep="\n",
              file=sys.stderr)  # fmt: skip


def lines(found: Prefetched, capture: str) -> Iterator[str]:
    """Yield the result for people."""
    selected = found.selected
    yield from entry_lines(selected.entries, most=MOST_SHOWN)
    yield from _time_lines(selected)
    yield from (f"note: {each}" for each in selected.notes)
    if selected.solver:
        yield f"solver: {selected.solver}"
    if not found.outcomes:
        yield estimate_line(found.estimate, size=lambda count: decimal(round(count)))
        return
    fetched = [each for each in found.outcomes.values() if isinstance(each, PrefetchedFile)]
    stored = sum(each.cache == "HIT" for each in fetched)
    proofs = Counter(each.proof.word for each in fetched)
    verified = ", ".join(f"{count} {word}" for word, count in sorted(proofs.items()))
    yield (
        f"{len(fetched)} files, {decimal(sum(each.size for each in fetched))}: {stored} from the store, "
        f"{len(fetched) - stored} from upstream; verified: {verified or 'none'}"
    )
    if capture:
        yield f"recorded in the capture {capture}"


def _time_lines(selected: Selected) -> Iterator[str]:
    """Yield the times of each archive with the number of files."""
    counts = Counter((each.archive.name, each.when) for each in selected.files)
    for archive, when in selected.times:
        yield f"{archive} at {when.text}: {counts[archive, when]} files"


def as_json(found: Prefetched, capture: str) -> dict[str, Any]:
    """Return the result as JSON."""
    selected, estimate = found.selected, found.estimate
    return {
        "capture": capture or None,
        "files": [_file(each, found.outcomes.get(each)) for each in selected.files],
        "estimate": {
            "files": estimate.files,
            "stored": estimate.stored,
            "bytes": estimate.bytes,
            "unsized": estimate.unsized,
            "requests": {name: _bounds(span) for name, span in estimate.requests.items()},
            "seconds": _bounds(estimate.seconds),
        },
        "notes": list(selected.notes),
        "solver": selected.solver or None,
        "times": [{"archive": archive, "time": when.text} for archive, when in selected.times],
        "entries": [_entry(each) for each in selected.entries],
    }


def _bounds(span: Bounds) -> list[float]:
    return [span.best, span.worst]


def _entry(resolved: ResolvedEntry) -> dict[str, Any]:
    return {
        "origin": resolved.entry.origin,
        "entry": resolved.entry.label,
        "finding": resolved.finding.value,
        "why": resolved.why,
        "candidates": [
            {
                "archive": each.archive.name,
                "path": each.path,
                "digest": each.digest,
                "spans": [[format_instant(first), format_instant(last)] for first, last in each.spans],
            }
            for each in resolved.candidates
        ],
    }


def _file(wanted: WantedFile, outcome: FileOutcome | None) -> dict[str, Any]:
    value: dict[str, Any] = {
        "archive": wanted.archive.name,
        "time": wanted.when.text,
        "path": wanted.path,
        "digest": wanted.digest,
        "size": wanted.size,
    }
    if outcome is None:
        return value
    if isinstance(outcome, PrefetchedFile):
        return value | {
            "state": "ok",
            "size": outcome.size,
            "digest": f"sha256:{outcome.sha256}",
            "verified": outcome.proof.word,
            "cache": outcome.cache,
            "snapshot": outcome.snapshot,
        }
    state = "absent" if wanted.may_be_absent and outcome.is_absence else "refused"
    return value | {"state": state, "status": outcome.status, "reason": outcome.reason, "why": outcome.why}
