"""Compare two listings of packages: added, removed, upgraded and downgraded packages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cmp_to_key
from typing import NamedTuple

Compare = Callable[[str, str], int | None]


class ChangeKind(Enum):
    """The kind of change of a package between two times."""

    CAME = "came"
    WENT = "went"
    UP = "up"
    """Its newest version is newer."""
    DOWN = "down"
    """Its newest version is older."""
    CHANGED = "changed"
    """Its newest version is equal and others were added or removed, or the family's rules do not order the two."""


class PackageRecord(NamedTuple):
    """One version of one package; `architecture` is '' if the comparison ignores it."""

    component: str
    name: str
    architecture: str
    version: str


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package that differs. `before` and `after` are all its versions at each time, newest first."""

    name: str
    architecture: str
    component: str
    kind: ChangeKind
    before: tuple[str, ...]
    after: tuple[str, ...]


def compare_listings(
    before: Iterable[PackageRecord], after: Iterable[PackageRecord], compare: Compare
) -> list[PackageChange]:
    """Return the differences, sorted by name.

    A package is identified by name, architecture and component, and may have several versions at one time.
    """
    old, new = _versions(before), _versions(after)
    found = [
        _change(key, old.get(key, set()), new.get(key, set()), compare)
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
    ]
    return sorted(found, key=lambda each: (each.name, each.architecture, each.component))


def counts(changes: Iterable[PackageChange]) -> dict[str, int]:
    """Return the number of changes of each kind, in the order of the kinds."""
    found = Counter(each.kind for each in changes)
    return {kind.value: found[kind] for kind in ChangeKind}


def _versions(listing: Iterable[PackageRecord]) -> dict[tuple[str, str, str], set[str]]:
    found: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for each in listing:
        found[each.component, each.name, each.architecture].add(each.version)
    return found


def _change(key: tuple[str, str, str], old: set[str], new: set[str], compare: Compare) -> PackageChange:
    component, name, architecture = key
    before, after = _newest_first(old, compare), _newest_first(new, compare)
    return PackageChange(name, architecture, component, _kind(before, after, compare), tuple(before), tuple(after))


def _newest_first(versions: set[str], compare: Compare) -> list[str]:
    """Sort by the family's rules, and by text if they treat two versions as equal."""

    def order(one: str, other: str) -> int:
        return compare(one, other) or (one > other) - (one < other)

    return sorted(versions, key=cmp_to_key(order), reverse=True)


def _kind(before: Sequence[str], after: Sequence[str], compare: Compare) -> ChangeKind:
    if not before:
        return ChangeKind.CAME
    if not after:
        return ChangeKind.WENT
    order = compare(before[0], after[0])
    if not order:  # equal (0), or without an order (None)
        return ChangeKind.CHANGED
    return ChangeKind.UP if order < 0 else ChangeKind.DOWN
