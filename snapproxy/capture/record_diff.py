"""Compare two records: the snapshots that answered, the versions of packages, the contents of files.

Requested times are not compared, because most locks that are compared were made for different times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from snapproxy.capture.lock import snapshots_by_time
from snapproxy.core.model import Proof
from snapproxy.core.record import Record, RecordEntry
from snapproxy.families import FAMILIES

_ABSENT = "absent"
_SHORT = 12


@dataclass(frozen=True, slots=True, order=True)
class RecordedState:
    """The state of a name in a record: content (sha256 in hex, size in bytes) or absence ('' and 0), and its proof."""

    sha256: str
    size: int
    proof: Proof

    def __str__(self) -> str:
        return f"{self.sha256[:_SHORT] or _ABSENT} {self.proof.word}"

    def value(self) -> dict[str, Any]:
        """Return the state for JSON."""
        return {"proof": self.proof.word, "sha256": self.sha256 or None, "size": self.size}


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A difference; `before` and `after` are sorted, and empty if the item is missing on that side.

    `what`: `snapshots` (of the archive), `package` (`name` is `curl amd64`, the values are its versions), `file`
    (`name` is its path), `unpinned` (`name` is a host), `solver` (`name` is its text).
    """

    what: str
    archive: str
    name: str
    before: tuple[Any, ...]
    after: tuple[Any, ...]

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        if not self.before:
            return "added"
        return "changed" if self.after else "removed"


@dataclass(frozen=True, slots=True)
class RecordDiff:
    """The differences of two records. A package with another version is one change of packages and two of files."""

    archives: tuple[RecordChange, ...]
    packages: tuple[RecordChange, ...]
    files: tuple[RecordChange, ...]
    unpinned: tuple[RecordChange, ...]
    solvers: tuple[RecordChange, ...]

    def __bool__(self) -> bool:
        return any((self.archives, self.packages, self.files, self.unpinned, self.solvers))

    def value(self) -> dict[str, Any]:
        """Return the differences for JSON: every change, with all files."""
        return {
            "archives": [_value(change, "archive") for change in self.archives],
            "files": [_value(change, "archive", "path") for change in self.files],
            "packages": [_value(change, "archive", "package") for change in self.packages],
            "solvers": [{"kind": change.kind, "solver": change.name} for change in self.solvers],
            "unpinned": [{"host": change.name, "kind": change.kind} for change in self.unpinned],
        }

    def rows(self, families: Mapping[str, str]) -> list[tuple[str, str, str, str, str]]:
        """Return table rows: kind, archive, name, before, after.

        Files that differ only by their package's version are omitted.
        """
        listed = {(change.archive, change.name) for change in self.packages}
        files = [change for change in self.files if (change.archive, _package(change, families)) not in listed]
        return [
            (change.kind, change.archive, change.name or change.what, _words(change.before), _words(change.after))
            for change in (*self.archives, *self.packages, *files, *self.unpinned, *self.solvers)
        ]


def compare(one: Record, other: Record) -> RecordDiff:
    """Return the differences from `one` to `other`. Never raises; a record does not differ from itself."""
    families = {**one.families, **other.families}
    return RecordDiff(
        archives=_changes("snapshots", _snapshots(one), _snapshots(other)),
        packages=_changes("package", _packages(one, families), _packages(other, families)),
        files=_changes("file", _files(one), _files(other)),
        unpinned=_changes("unpinned", _texts(one.unpinned), _texts(other.unpinned)),
        solvers=_changes("solver", _texts(one.solvers), _texts(other.solvers)),
    )


def _changes(
    what: str, before: Mapping[tuple[str, str], Iterable[Any]], after: Mapping[tuple[str, str], Iterable[Any]]
) -> tuple[RecordChange, ...]:
    found = (
        RecordChange(what, *key, _sorted(before.get(key, ())), _sorted(after.get(key, ())))
        for key in sorted({*before, *after})
    )
    return tuple(change for change in found if change.before != change.after)


def _sorted(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))


def _snapshots(record: Record) -> Mapping[tuple[str, str], set[str]]:
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for (archive, _), snapshots in snapshots_by_time(record.entries).items():
        found[archive, ""] |= snapshots
    return found


def _packages(record: Record, families: Mapping[str, str]) -> Mapping[tuple[str, str], set[str]]:
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in record.entries:
        named = None if entry.is_absence else FAMILIES[families[entry.archive]].package_name(entry.path)
        if named is not None:
            found[entry.archive, f"{named.name} {named.arch}"].add(named.version)
    return found


def _files(record: Record) -> Mapping[tuple[str, str], set[RecordedState]]:
    found: defaultdict[tuple[str, str], set[RecordedState]] = defaultdict(set)
    for entry in record.entries:
        found[entry.archive, entry.path].add(_state(entry))
    return found


def _state(entry: RecordEntry) -> RecordedState:
    return RecordedState(entry.sha256, entry.size, entry.proof)


def _texts(texts: Iterable[str]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    return {("", text): (text,) for text in texts}


def _package(change: RecordChange, families: Mapping[str, str]) -> str:
    """Return the package of a changed file, '' if the content of the file changed but not its version."""
    named = FAMILIES[families[change.archive]].package_name(change.name)
    return "" if named is None or change.kind == "changed" else f"{named.name} {named.arch}"


def _value(change: RecordChange, *names: str) -> dict[str, Any]:
    where = dict(zip(names, (change.archive, change.name), strict=False))
    sides = {
        name: [each.value() if isinstance(each, RecordedState) else each for each in side]
        for name, side in (("before", change.before), ("after", change.after))
    }
    return {**where, "kind": change.kind, **sides}


def _words(side: tuple[Any, ...]) -> str:
    return ", ".join(str(each) for each in side)
