"""Names in the catalog: files by (archive, snapshot, path), roots over time, dates of blobs.

This module alone defines the spaces of the catalog:
- names `<archive>/<snapshot>`: path -> blob; written once for each proof
- names `roots:<archive>/<snapshot>`: the roots served at that snapshot
- values `root/<archive>/<path>`: a root's digest over time, according to the archive's snapshots; `live.observations`
  records what snapproxy itself observed
- names `<algorithm>`: hex -> blob, for bytes that are also identified by another strong digest or by the snapshot
  service's sha1 (`/file/<sha1>`; indexes that list sha512 only)
- names `weak:<archive>`: `<algorithm>:<hex>` -> blob, for files of this archive that an index lists without a strong
  digest
- names `absent:<archive>/<snapshot>`: paths that captures found absent (`core.record.absences_of`); written by captures
- names `lacking:<archive>/<snapshot>`: paths that upstream lacked when this snapshot was observed
- names `<archive>/always`: files outside every snapshot; of an observed archive the detached signatures of packages,
  as `signature of <algorithm>:<hex>` with the digest of the package
- facts `date/<digest>`: the date of the blob: that of a root, its first Last-Modified, or when it was first seen (rule
  8)
- facts `own-date/<archive>/<path>/<digest>`: the date with which a state of a changing file is sent
- facts `dated/<archive>/<path>/<date>`: the states of that file that have had this date (`conditions.DatedFiles`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snapproxy.base.clock import Clock
from snapproxy.core.conditions import DatedFiles
from snapproxy.core.expected_files import identity
from snapproxy.core.model import LIVE, STRONG, ExpectedFile, Instant, Proof, Resolved, Role
from snapproxy.core.plan_model import StoredFile
from snapproxy.core.record import absences_of
from snapproxy_storage import Blobs, Catalog, Name

NAME_POLL_SECONDS = 0.05
NAME_POLLS = 20
"""Interval and number of polls for a name that another process is about to write; the total is one second."""

ABOUT_BLOBS = ("date/",)
"""Prefixes of facts about a blob, whose digest follows."""

_BEFORE_ALL: Instant = 0
"""An instant before every recorded one."""


@dataclass(frozen=True, slots=True)
class RootState:
    """A root with one digest (sha256, hex) from `first` to `last`, both included."""

    path: str
    digest: str
    first: Instant
    last: Instant


class Names:
    """The names of files. Reads are inline; writes are durable when they return.

    No name is recorded under the snapshot `live`: the package `live` keeps the current files.
    """

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    def stored(self, space: str, path: str) -> StoredFile | None:
        """Return the file that the catalog has under this name."""
        name = self._catalog.name(space, path)
        return None if name is None else StoredFile(path, name.digest, name.size, Proof(name.proof))

    async def put_name(
        self, space: str, path: str, file: StoredFile, role: Role, resolved: Resolved, *, permanent: bool = True
    ) -> None:
        """Record the name of a file of a snapshot, unless the name has an equal or stronger proof.

        A root is also added to the roots of its snapshot, and to its own history. A name that is not `permanent` may be
        forgotten when there are too many: an archive has the file still, and clients may request any number of times.
        """
        at = None if permanent else self._clock.now()
        named = self.stored(space, path)
        if resolved.snapshot == LIVE or (named is not None and named.proof >= file.proof):
            return
        name = Name(file.digest, file.size, int(file.proof))
        if role is Role.ROOT:
            await self._catalog.put_name(roots_of(space), path, name, at=at)
            await self._catalog.observe(f"root/{space.partition('/')[0]}/{path}", resolved.instant, file.digest)
        await self._catalog.put_name(space, path, name, at=at)

    async def wait_for_name(self, space: str, path: str, expected: ExpectedFile | None) -> None:
        """Wait until another process has written the name, or the digest of the expected file; at most one second.

        It returns without a result: the other process may have failed.
        """
        archive = space.partition("/")[0]
        for _ in range(NAME_POLLS):
            if self._catalog.name(space, path) is not None or (expected and self.sha256_of(archive, expected)):
                return
            await self._clock.sleep(NAME_POLL_SECONDS)

    async def drop_name(self, space: str, path: str, digest: str) -> None:
        """Remove a name whose blob is gone, unless it refers to another blob by now."""
        name = self._catalog.name(space, path)
        if name is not None and name.digest == digest:
            await self._catalog.drop_name(roots_of(space), path)
            await self._catalog.drop_name(space, path)

    async def forget_proofs(self, space: str) -> None:
        """Remove the names with the proof `index`, so that these files get the better proof that their root has now.

        Their bytes stay in the store and are found by their digests.
        """
        for path, name in list(self._catalog.names(space)):
            if name.proof == Proof.INDEX:
                await self._catalog.drop_name(space, path)

    def was_absent(self, space: str, path: str) -> bool:
        """Return whether a closed capture has recorded that this file is absent."""
        return self._catalog.name(absences_of(space), path) is not None

    def is_lacking(self, space: str, path: str) -> bool:
        """Return whether upstream lacked this file when the snapshot was observed."""
        return self._catalog.name(lacking_in(space), path) is not None

    async def put_lacking(self, space: str, path: str) -> None:
        """Record that upstream lacked this file when the snapshot was observed."""
        await self._catalog.put_name(lacking_in(space), path, Name("", 0, 0))

    def roots(self, space: str) -> list[StoredFile]:
        """Return the roots served at a snapshot."""
        return [
            StoredFile(path, name.digest, name.size, Proof(name.proof))
            for path, name in self._catalog.names(roots_of(space))
        ]

    def root_states(self, archive: str) -> list[RootState]:
        """Return every recorded state of every root of an archive, and of the files that were observed beside roots."""
        prefix = f"root/{archive}/"
        found = []
        for key in self._catalog.keys(prefix):
            _, state = self._catalog.around(key, _BEFORE_ALL)
            while state is not None:
                if state.value:
                    found.append(RootState(key.removeprefix(prefix), state.value, state.first, state.last))
                _, state = self._catalog.around(key, state.first)
        return found

    def alias(self, algorithm: str, hexdigest: str) -> StoredFile | None:
        """Return the blob with this other digest, if it is recorded."""
        return self.stored(algorithm, hexdigest)

    async def put_alias(self, algorithm: str, hexdigest: str, digest: str, size: int) -> None:
        """Record another digest of a blob. The caller must have computed both over the same bytes."""
        await self._catalog.put_name(algorithm, hexdigest, Name(digest, size, int(Proof.DIGEST)))

    def sha256_by_digest(self, archive: str, algorithm: str, hexdigest: str) -> str | None:
        """Return the sha256 of the verified bytes with this digest.

        A weak digest identifies only files of this archive.
        """
        name = self._catalog.name(*_alias(archive, algorithm, hexdigest))
        return None if name is None else name.digest

    def sha256_of(self, archive: str, expected: ExpectedFile) -> str | None:
        """Return the sha256 of an expected file: the listed one, or the one recorded when its bytes were stored."""
        match identity(expected):
            case None:
                return None
            case ("sha256", digest):
                return digest
            case (algorithm, digest):
                return self.sha256_by_digest(archive, algorithm, digest)

    async def put_expected(self, archive: str, expected: ExpectedFile, digest: str, size: int) -> None:
        """Record the blob of an expected file that is listed without sha256; the family's checker has verified it.

        A weak digest may have another blob already, of a package that was signed again. That blob was evicted, or never
        fetched: the new one replaces it.
        """
        known_by = identity(expected)
        if known_by is None or known_by[0] == "sha256":
            return
        space, name = _alias(archive, *known_by)
        recorded = self._catalog.name(space, name)
        if recorded is not None and recorded.digest != digest:
            await self._catalog.drop_name(space, name)
        await self._catalog.put_name(space, name, Name(digest, size, int(Proof.DIGEST)))

    def date(self, digest: str) -> Instant | None:
        """Return the date of a blob: that of a root, its first Last-Modified, or when it was first seen."""
        return date_of(self._catalog, digest)

    async def put_date(self, digest: str, date: Instant) -> None:
        """Record the date of a blob; the first one is kept."""
        if self.date(digest) is None:
            await self._catalog.put_fact(f"date/{digest}", date)

    def own_date(self, archive: str, path: str, digest: str) -> Instant | None:
        """Return the date with which a state of a changing file is sent; None until `put_own_date`."""
        date: Instant | None = self._catalog.fact(f"own-date/{archive}/{path}/{digest}", 0)
        return date

    async def put_own_date(self, archive: str, path: str, digest: str, own: Instant, also: Instant | None) -> None:
        """Record the own date of a state of a changing file, and the date `also` that the archive sent with it."""

        def plus(recorded: Any | None) -> list[Any]:
            known = DatedFiles(digest, own) if recorded is None else DatedFiles(*recorded).plus(digest, own)
            return [known.digest, known.newest]

        for date in {own, own if also is None else also}:
            await self._catalog.update_fact(f"dated/{archive}/{path}/{date}", plus)
        await self._catalog.put_fact(f"own-date/{archive}/{path}/{digest}", own)

    def dated(self, archive: str, path: str, date: Instant) -> DatedFiles | None:
        """Return the states of a changing file that have had a date, None if no recorded one has."""
        recorded = self._catalog.fact(f"dated/{archive}/{path}/{date}", 0)
        return None if recorded is None else DatedFiles(*recorded)


def file_space(space: str) -> tuple[str, str] | None:
    """Return (archive, snapshot) of a catalog space `<archive>/<snapshot>`, None for a space of another kind."""
    archive, slash, snapshot = space.partition("/")
    return (archive, snapshot) if slash and ":" not in archive and archive != "capture" else None


def lacking_in(space: str) -> str:
    """Return the catalog space of the files that upstream lacked when `<archive>/<snapshot>` was observed."""
    return f"lacking:{space}"


def roots_of(space: str) -> str:
    """Return the catalog space of the roots of `<archive>/<snapshot>`."""
    return f"roots:{space}"


def alias_spaces(archives: Sequence[str]) -> list[str]:
    """Return the catalog spaces of other digests of blobs."""
    return [*STRONG, "sha1", *(f"weak:{archive}" for archive in archives)]


def date_of(catalog: Catalog, digest: str) -> Instant | None:
    """Return the date of a blob: that of a root, its first Last-Modified, or when it was first seen."""
    date: Instant | None = catalog.fact(f"date/{digest}", 0)
    return date


def _alias(archive: str, algorithm: str, hexdigest: str) -> tuple[str, str]:
    """Return the space and name in the catalog for a digest other than sha256."""
    return (algorithm, hexdigest) if algorithm in STRONG else (f"weak:{archive}", f"{algorithm}:{hexdigest}")


async def size_of(blobs: Blobs, digest: str) -> int | None:
    """Return the size of a blob, None if it is not stored. It waits only while an unknown file is hashed."""
    blob = blobs.peek(digest) or await blobs.open(digest)
    if blob is None:
        return None
    try:
        return blob.size
    finally:
        blob.close()
