"""Lays a record out as a folder that `file:` sources can use with no snapproxy. What is to lie where; the writing is left to others.

debian/20240601T000000Z/dists/bookworm/InRelease           addresses as in the mirror form: file: in place of http://HOST
debian/20240601T000000Z/dists/.../by-hash/SHA256/<digest>  the name by which clients ask for an index first
snapproxy.lock.json  SHA256SUMS
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snapproxy.capture.contents import PlacedFile, check_names, sizes_by_digest
from snapproxy.capture.lock import FILE_NAME, encode
from snapproxy.capture.sha256sums import listed
from snapproxy.core.model import ExpectedFile
from snapproxy.core.record import Record
from snapproxy.families import FAMILIES

SUMS_NAME = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Tree:
    """`leaves` come from the store, sorted by path; `documents` are written as they stand, by name. No name needs a check any more."""

    leaves: tuple[PlacedFile, ...]
    documents: Mapping[str, bytes]


def lay_out(record: Record, held: Record | None = None) -> Tree:
    """Say what lies where. `held`: what the other side has already; files of its contents are left out, wherever they lie there.

    A time keeps its own folder, though another time was answered by the same snapshot: so one address serves a whole build, also where
    each root of an archive has snapshots of its own. The lists name what is left out, too: by digest it can be put in its place.
    Raises RecordError when a file would have to be a folder as well.
    """
    leaves = {leaf.path: leaf for leaf in _leaves(record)}
    check_names([FILE_NAME, SUMS_NAME, *leaves])
    left_out = sizes_by_digest(held)
    documents = {FILE_NAME: encode(record), SUMS_NAME: listed((leaf.path, leaf.sha256) for leaf in leaves.values())}
    return Tree(tuple(leaves[path] for path in sorted(leaves) if leaves[path].sha256 not in left_out), documents)


def _leaves(record: Record) -> list[PlacedFile]:
    found = []
    for entry in record.entries:
        if entry.is_absence or entry.is_service:  # nobody asks a folder for what a service says
            continue
        promised = ExpectedFile(entry.path, entry.size, {"sha256": entry.sha256})
        lasting = FAMILIES[record.families[entry.archive]].lasting_path(promised)
        paths = dict.fromkeys((entry.path, lasting))
        found += [PlacedFile(f"{entry.archive}/{entry.requested}/{path}", entry.size, entry.sha256) for path in paths]
    return found
