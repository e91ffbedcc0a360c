"""The catalog in the archive's words: files by (archive, snapshot, path), roots over time, dates of blobs.

Which catalog space holds what is written down here and nowhere else:
- names `<archive>/<snapshot>`: path -> blob; written once per proof
- names `roots:<archive>/<snapshot>`: the roots served at that snapshot
- values `root/<archive>/<path>`: a root's digest over time, as the archive's snapshots show it; what is seen of them is `observations`'s
- names `<algorithm>`: hex -> blob, for bytes that were also known by another digest (the snapshot service's `/file/<sha1>`,
  promises that give sha512 only)
- names `weak:<archive>`: `<algorithm>:<hex>` -> blob, for bytes of this archive that kept a promise which gives no strong digest
- names `absent:<archive>/<snapshot>`: paths that captures found missing (`core.record.absences_of`); written by captures
- facts `date/<digest>`: when the blob was first seen (Last-Modified, rule 8)
"""

from __future__ import annotations

from snapproxy.base.clock import Clock
from snapproxy.core.expected_files import identity
from snapproxy.core.model import LIVE, STRONG, ExpectedFile, Instant, Proof, Resolved, Role
from snapproxy.core.plan_model import StoredFile
from snapproxy.core.record import absences_of
from snapproxy_storage import Blobs, Catalog, Name

NAME_POLL_SECONDS = 0.05
NAME_POLLS = 20


class Names:
    """Reads are inline; writes are durable when they return. Nothing is named under `live`: the present is kept by `live`."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    def held(self, space: str, path: str) -> StoredFile | None:
        """Return what the catalog calls this."""
        name = self._catalog.name(space, path)
        return None if name is None else StoredFile(path, name.digest, name.size, Proof(name.proof))

    async def name(self, space: str, path: str, held: StoredFile, role: Role, resolved: Resolved) -> None:
        """Name a file of a snapshot; a root also enters the roots of its snapshot and its own history."""
        standing = self.held(space, path)
        if resolved.snapshot == LIVE or (standing is not None and standing.proof >= held.proof):
            return
        name = Name(held.digest, held.size, int(held.proof))
        if role is Role.ROOT:
            await self._catalog.put_name(f"roots:{space}", path, name)
            await self._catalog.observe(f"root/{space.partition('/')[0]}/{path}", resolved.instant, held.digest)
        await self._catalog.put_name(space, path, name)

    async def appears(self, space: str, path: str, expected: ExpectedFile | None) -> None:
        """Wait a moment for what another process is about to write: a name, or which bytes kept a promise. Not for ever, it may have failed."""
        archive = space.partition("/")[0]
        for _ in range(NAME_POLLS):
            if self._catalog.name(space, path) is not None or (expected and self.sha256_of(archive, expected)):
                return
            await self._clock.sleep(NAME_POLL_SECONDS)

    async def forget(self, space: str, path: str, digest: str) -> None:
        """Take back a name whose blob is gone, unless it has come to mean another."""
        name = self._catalog.name(space, path)
        if name is not None and name.digest == digest:
            await self._catalog.drop_name(f"roots:{space}", path)
            await self._catalog.drop_name(space, path)

    def was_absent(self, space: str, path: str) -> bool:
        """Tell whether a capture, closed since, was told that there is no such file."""
        return self._catalog.name(absences_of(space), path) is not None

    def roots(self, space: str) -> list[StoredFile]:
        """Return the roots served at a snapshot."""
        return [
            StoredFile(path, name.digest, name.size, Proof(name.proof))
            for path, name in self._catalog.names(f"roots:{space}")
        ]

    def alias(self, algorithm: str, hexdigest: str) -> StoredFile | None:
        """Return the blob that is known to have this other digest."""
        return self.held(algorithm, hexdigest)

    async def put_alias(self, algorithm: str, hexdigest: str, digest: str, size: int) -> None:
        """Note another digest of a blob; the caller has computed both over the same bytes."""
        await self._catalog.put_name(algorithm, hexdigest, Name(digest, size, int(Proof.DIGEST)))

    def known_as(self, archive: str, algorithm: str, hexdigest: str) -> str | None:
        """Return the sha256 of the bytes that kept a promise of this digest: a weak one tells of this archive's own bytes alone."""
        name = self._catalog.name(*_alias(archive, algorithm, hexdigest))
        return None if name is None else name.digest

    def sha256_of(self, archive: str, expected: ExpectedFile) -> str | None:
        """Return the sha256 of the promised bytes: as promised, or as learnt when bytes of its other digest came."""
        match identity(expected):
            case None:
                return None
            case ("sha256", digest):
                return digest
            case (algorithm, digest):
                return self.known_as(archive, algorithm, digest)

    async def learn(self, archive: str, expected: ExpectedFile, digest: str, size: int) -> None:
        """Note which blob kept a promise that gives no sha256; the caller has seen the family's checker pass it.

        By a weak digest another blob may have done so before (a package that was signed anew): it is gone, or none had been fetched.
        """
        known_by = identity(expected)
        if known_by is None or known_by[0] == "sha256":
            return
        space, name = _alias(archive, *known_by)
        standing = self._catalog.name(space, name)
        if standing is not None and standing.digest != digest:
            await self._catalog.drop_name(space, name)
        await self._catalog.put_name(space, name, Name(digest, size, int(Proof.DIGEST)))

    def date(self, digest: str) -> Instant | None:
        """Return when the blob was first seen."""
        return date_of(self._catalog, digest)

    async def put_date(self, digest: str, date: Instant) -> None:
        """Date a blob; the first date stands."""
        if self.date(digest) is None:
            await self._catalog.put_fact(f"date/{digest}", date)


def date_of(catalog: Catalog, digest: str) -> Instant | None:
    """Return when a blob was first seen: as whoever brought it dated it."""
    date: Instant | None = catalog.fact(f"date/{digest}", 0)
    return date


def _alias(archive: str, algorithm: str, hexdigest: str) -> tuple[str, str]:
    """Return where the catalog keeps the blob of a digest that is no sha256."""
    return (algorithm, hexdigest) if algorithm in STRONG else (f"weak:{archive}", f"{algorithm}:{hexdigest}")


def size_of(blobs: Blobs, digest: str) -> int | None:
    """Return the size of a blob, None when the store does not hold it. Never waits."""
    blob = blobs.peek(digest)
    if blob is None:
        return None
    try:
        return blob.size
    finally:
        blob.close()
