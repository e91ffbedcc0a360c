"""The names and rows of tables, as the helper process writes them and this process reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from snapproxy.core.expected_files import DroppedCount, DroppedEntries
from snapproxy.core.listing import PackageVersion
from snapproxy.core.model import ExpectedFile

DROPPED = "\0"
"""The beginning of the row names of dropped entries; no path contains it. The row of this name has their number."""


def table_name(digest: str, index: str) -> str:
    """Return the name of the table of an index, by its digest and path.

    The same bytes under another path list other paths (`dists/stable`, `dists/bookworm`).
    """
    return hashlib.sha256(f"{digest} {index}".encode()).hexdigest()


def encode_expected(expected: ExpectedFile) -> bytes:
    """Return the table row of a listed file."""
    return json.dumps([expected.path, expected.size, dict(expected.digests)], separators=(",", ":")).encode()


def decode_expected(row: bytes) -> ExpectedFile:
    """Return the listed file of a row that `encode_expected` wrote."""
    path, size, digests = json.loads(row)
    return ExpectedFile(path, size, digests)


def dropped_rows(dropped: DroppedEntries) -> Iterator[tuple[str, bytes]]:
    """Yield the table rows of the entries of an index that were dropped. An index without such entries has none."""
    if dropped.count.count:
        yield DROPPED, json.dumps([dropped.count.count, dropped.count.first]).encode()
    for path, reason in dropped.paths.items():
        yield DROPPED + path, reason.encode()


def decode_count(row: bytes | None) -> DroppedCount:
    """Return the number of dropped entries from the value of the row `DROPPED`, None if there is no such row."""
    return DroppedCount() if row is None else DroppedCount(*json.loads(row))


def encode_package(package: PackageVersion) -> str:
    """Return the row name of a package; its row is empty. The fields contain no blanks (`core.listing.listed`)."""
    return f"{package.name} {package.architecture} {package.version} {package.source} {package.source_version}"


def decode_package(name: str) -> PackageVersion:
    """Return the package of a row name that `encode_package` wrote."""
    return PackageVersion(*name.split(" "))
