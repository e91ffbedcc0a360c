"""The disk space of the named files, by archive and by snapshot, and the bytes saved because each is stored once.

The names are read in the order of the catalog, and then each blob once in the order of digests, both on a temporary
database. So the memory is bounded for any number of names and snapshots; ten million names need about 1 GB of temporary
files.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter

from snapproxy_storage import Blobs, CatalogScan, StorageFailure

_CACHE_KIB = 64 << 10
_BATCH = 20_000

_TABLES = (
    """CREATE TABLE named (digest BLOB, space INTEGER, names INTEGER, PRIMARY KEY (digest, space)) WITHOUT ROWID""",
    """CREATE TABLE space (id INTEGER PRIMARY KEY, name TEXT, names INTEGER, missing INTEGER DEFAULT 0,
       size INTEGER DEFAULT 0, once INTEGER DEFAULT 0, own INTEGER DEFAULT 0)""",
)


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """The files of an archive, of a snapshot (`<archive>/<snapshot>`), or of all.

    `names`: number of names, of which the files of `missing` are not stored. `size`: the bytes of all stored ones, a
    file counted for each of its names. `distinct`: each file counted once. `own`: the bytes that no other archive or
    snapshot has, and that would be free without this one.
    """

    name: str
    names: int = 0
    missing: int = 0
    size: int = 0
    distinct: int = 0
    own: int = 0

    @property
    def saved(self) -> int:
        """The bytes that are saved because each file is stored once."""
        return self.size - self.distinct


class StoreStats:
    """The statistics of one store. Every method blocks and may raise StorageFailure. Close it."""

    def __init__(self, scan: CatalogScan, blobs: Blobs) -> None:
        """Read all names and look for all files."""
        self._database = sqlite3.connect("", isolation_level=None)
        try:
            for statement in (f"PRAGMA cache_size = -{_CACHE_KIB}", "PRAGMA journal_mode = OFF", *_TABLES):
                self._database.execute(statement)
            self._read_names(scan)
            self._totals = self._read_blobs(blobs)
        except sqlite3.Error as error:
            raise StorageFailure(f"the temporary database of the statistics failed: {error}") from error

    def total(self) -> NamedFiles:
        """Return the figures of all archives."""
        return self._totals[""]

    def archives(self) -> list[NamedFiles]:
        """Return the figures of each archive, sorted by name."""
        return [figures for name, figures in sorted(self._totals.items()) if name]

    def snapshots(self) -> Iterator[NamedFiles]:
        """Yield the figures of each snapshot, sorted by archive and snapshot."""
        rows = self._database.execute("SELECT name, names, missing, size, once, own FROM space ORDER BY id")
        return (NamedFiles(*row) for row in rows)

    def close(self) -> None:
        """Discard the database."""
        self._database.close()

    def _read_names(self, scan: CatalogScan) -> None:
        rows = ((space, digest) for space, _, digest, _ in scan.names() if digest and _is_snapshot(space))
        for number, (space, names) in enumerate(itertools.groupby(rows, key=itemgetter(0))):
            count = 0
            while batch := list(itertools.islice(names, _BATCH)):
                count += len(batch)
                self._write(
                    "INSERT INTO named VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET names = names + 1",
                    ((bytes.fromhex(digest), number) for _, digest in batch),
                )
            self._database.execute("INSERT INTO space (id, name, names) VALUES (?, ?, ?)", (number, space, count))

    def _read_blobs(self, blobs: Blobs) -> Mapping[str, NamedFiles]:
        """Look for each file once, in the order of digests, and add its bytes to its snapshots and archives."""
        totals: defaultdict[str, _ArchiveSums] = defaultdict(_ArchiveSums)
        pending: defaultdict[int, _ArchiveSums] = defaultdict(_ArchiveSums)
        rows = self._database.execute(
            "SELECT digest, named.space, named.names, name FROM named JOIN space ON id = named.space "
            "ORDER BY digest, named.space"
        )
        for digest, places in itertools.groupby(rows, key=itemgetter(0)):
            size, uses = blobs.size(digest.hex()), [row[1:] for row in places]
            archives: defaultdict[str, int] = defaultdict(int)
            for space, names, name in uses:
                pending[space].add(names, size, is_only=len(uses) == 1)
                archives[name.partition("/")[0]] += names
            for archive, names in archives.items():
                totals[archive].add(names, size, is_only=len(archives) == 1)
            totals[""].add(sum(archives.values()), size, is_only=True)
            if len(pending) >= _BATCH:
                self._store(pending)
        self._store(pending)
        totals[""].names += 0  # an empty store has a total too
        return {name: NamedFiles(name, *sums.as_tuple()) for name, sums in totals.items()}

    def _store(self, pending: defaultdict[int, _ArchiveSums]) -> None:
        self._write(
            "UPDATE space SET missing = missing + ?, size = size + ?, once = once + ?, own = own + ? WHERE id = ?",
            ((*sums.as_tuple()[1:], space) for space, sums in pending.items()),
        )
        pending.clear()

    def _write(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


@dataclass(slots=True)
class _ArchiveSums:
    """The sums of `NamedFiles`."""

    names: int = 0
    missing: int = 0
    size: int = 0
    distinct: int = 0
    own: int = 0

    def add(self, names: int, size: int | None, *, is_only: bool) -> None:
        """Add a file with so many names here. `size`: None if it is not stored; `is_only`: it has no name elsewhere."""
        self.names += names
        if size is None:
            self.missing += names
        else:
            self.size += names * size
            self.distinct += size
            self.own += size * is_only

    def as_tuple(self) -> tuple[int, int, int, int, int]:
        return self.names, self.missing, self.size, self.distinct, self.own


def _is_snapshot(space: str) -> bool:
    """Return whether a space of the catalog has the names of a snapshot (`base.names`)."""
    archive, slash, _ = space.partition("/")
    return bool(slash) and ":" not in archive and archive not in ("capture", "pin")
