"""The layout of a record as a folder that `file:` sources can use without snapproxy.

`jobs.export` writes the files.

debian/20240601T000000Z/dists/bookworm/InRelease           as in the mirror form, with file: in place of http://HOST
debian/20240601T000000Z/dists/.../by-hash/SHA256/<digest>  the path that clients request first for an index
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
    """`leaves` are files from the store, sorted by path; `documents` are generated files, by name.

    All names are checked.
    """

    leaves: tuple[PlacedFile, ...]
    documents: Mapping[str, bytes]


def lay_out(record: Record, known: Record | None = None) -> Tree:
    """Return the layout of a record.

    `known`: a record whose contents the recipient has already; those files are omitted.

    Every requested time has its own folder, even if the same snapshot answered another time, so that one address serves
    a whole build if each root of an archive has its own snapshots. The lists include the omitted files, which can be
    added by digest. Raises RecordError if a file has the path of a folder.
    """
    leaves = {leaf.path: leaf for leaf in _leaves(record)}
    check_names([FILE_NAME, SUMS_NAME, *leaves])
    left_out = sizes_by_digest(known)
    documents = {FILE_NAME: encode(record), SUMS_NAME: listed((leaf.path, leaf.sha256) for leaf in leaves.values())}
    return Tree(tuple(leaves[path] for path in sorted(leaves) if leaves[path].sha256 not in left_out), documents)


def _leaves(record: Record) -> list[PlacedFile]:
    found = []
    for entry in record.entries:
        if entry.is_absence or entry.is_service:  # the answers of a service are not files of the folder
            continue
        expected = ExpectedFile(entry.path, entry.size, {"sha256": entry.sha256})
        lasting = FAMILIES[record.families[entry.archive]].lasting_path(expected)
        paths = dict.fromkeys((entry.path, lasting))
        found += [PlacedFile(f"{entry.archive}/{entry.requested}/{path}", entry.size, entry.sha256) for path in paths]
    return found
