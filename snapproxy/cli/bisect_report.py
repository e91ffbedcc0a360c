"""The result of a bisection, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snapproxy.cli.application import ChangedPackage
from snapproxy.cli.bisect_mixtures import Blame
from snapproxy.cli.tables import format_table
from snapproxy.core.model import Instant
from snapproxy.core.time_spec import format_instant

_HEAD = ("name", "arch", "before", "after", "kind", "archive")
_MOST_ROWS = 20
"""Number of changed packages, besides the used ones, that the text lists; --json has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """The result: the two neighbouring states, their snapshots by archive, and the packages that differ.

    `good` and `bad` are instants. `untested` are the skipped instants between them: if there are any, each of them may
    be the first bad one. `is_fix`: the good state is the later one. `runs`: runs of the command in this process,
    without `mixtures`: those with packages of both states. `blame`: the cause among the changed packages.
    """

    is_fix: bool
    good: Instant
    bad: Instant
    good_snapshots: Mapping[str, str]
    bad_snapshots: Mapping[str, str]
    untested: tuple[Instant, ...]
    runs: int
    mixtures: int
    changes: tuple[ChangedPackage, ...]
    blame: Blame

    @property
    def is_found(self) -> bool:
        """Whether the two states are neighbours."""
        return not self.untested

    @property
    def used(self) -> tuple[ChangedPackage, ...]:
        """The changed packages that the command downloaded."""
        return tuple(each for each in self.changes if each.is_used)


def lines(found: Bisection) -> Iterator[str]:
    """Return the result as text."""
    good, bad = ("first good", "last bad") if found.is_fix else ("last good", "first bad")
    ends = [
        f"{good} snapshot: {_snapshots(found.good_snapshots)} ({format_instant(found.good)})",
        f"{bad} snapshot: {_snapshots(found.bad_snapshots)} ({format_instant(found.bad)})",
    ]
    yield from ends[::-1] if found.is_fix else ends
    if not found.is_found:
        skipped = len(found.untested)
        yield f"The change is between them: the {skipped} snapshots in between were skipped ({_span(found.untested)})."
        return
    others = [each for each in found.changes if not each.is_used]
    if found.used:
        yield "Packages that the command downloaded and that differ:"
        yield from _table(found.used)
    else:
        yield "No package that the command downloaded differs."
    if others:
        yield "Other packages that differ:"
        yield from _table(others[:_MOST_ROWS])
    if len(others) > _MOST_ROWS:
        yield f"{len(others) - _MOST_ROWS} more; --json or `snapproxy diff` lists all of them."
    yield from _cause_lines(found)


def _cause_lines(found: Bisection) -> Iterator[str]:
    what, blame = "fix" if found.is_fix else "regression", found.blame
    if blame.cause:
        word = "package" if len(blame.cause) == 1 else "packages"
        yield f"The {what} is in the {word} {', '.join(blame.cause)}."
    elif blame.suspects:
        yield f"The {what} is in one or several of these packages: {', '.join(blame.suspects)}."
    else:
        yield f"The package with the {what} is not known."
    if blame.note:
        yield blame.note


def as_json(found: Bisection) -> dict[str, Any]:
    """Return the result as JSON."""
    return {
        "result": "found" if found.is_found else "range",
        "direction": "fix" if found.is_fix else "regression",
        "good": {"at": format_instant(found.good), "snapshots": dict(found.good_snapshots)},
        "bad": {"at": format_instant(found.bad), "snapshots": dict(found.bad_snapshots)},
        "skipped": [format_instant(each) for each in found.untested],
        "runs": found.runs,
        "mixtures": found.mixtures,
        "cause": list(found.blame.cause),
        "suspects": list(found.blame.suspects),
        "note": found.blame.note,
        "packages": [
            {
                "archive": each.archive,
                "name": each.change.name,
                "architecture": each.change.architecture,
                "source": each.source,
                "kind": each.change.kind.value,
                "before": list(each.change.before),
                "after": list(each.change.after),
                "used": each.is_used,
            }
            for each in found.changes
        ],
    }


def _table(changes: Sequence[ChangedPackage]) -> list[str]:
    rows = [
        (
            each.change.name,
            each.change.architecture,
            ", ".join(each.change.before),
            ", ".join(each.change.after),
            each.change.kind.value,
            each.archive,
        )
        for each in changes
    ]
    return format_table([_HEAD, *rows]).splitlines()


def _snapshots(snapshots: Mapping[str, str]) -> str:
    return ", ".join(f"{archive}/{snapshot}" for archive, snapshot in snapshots.items())


def _span(instants: Sequence[Instant]) -> str:
    first, last = sorted((instants[0], instants[-1]))
    return f"{format_instant(first)} to {format_instant(last)}"
