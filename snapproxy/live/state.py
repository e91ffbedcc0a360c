"""What stands now: the state of each live file, one row of facts a file, and the register of the roots served live.

How it comes to stand is `live`'s to say; here it is only written down and read back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snapproxy.base.names import size_of
from snapproxy.core.model import LIVE, Archive, Family, Instant, Proof
from snapproxy.core.plan_model import StoredFile
from snapproxy.download.outcome import Stored
from snapproxy.live.observations import RootPair
from snapproxy_storage import Blobs, Catalog, Meta, Name, StorageFailure

log = logging.getLogger(__name__)

MAX_UNWRITTEN = 256
"""Files whose state is kept in memory while the catalog cannot be written; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class LiveCopy:
    """Bytes that the store holds, and what upstream gave to ask by whether they changed."""

    digest: str
    size: int
    etag: str = ""
    last_modified: str = ""

    @classmethod
    def of(cls, landed: Stored) -> LiveCopy:
        """Return the copy that has landed."""
        return cls(landed.digest, landed.size, landed.etag, landed.last_modified)

    @property
    def validators(self) -> Meta:
        """What makes a request for these bytes conditional: nothing where upstream gives no ETag.

        If-Modified-Since alone is answered "not modified" by an archive that went back to an older state too (RFC 9110, 13.1.3).
        """
        return Meta(etag=self.etag, last_modified=self.last_modified) if self.etag else Meta()


@dataclass(frozen=True, slots=True)
class LiveState:
    """One live file as last adopted.

    `checked`: when upstream last confirmed it. `previous`: the digest of the root before it, whose by-hash names are still answered.
    `signature`: the detached one that belongs to exactly these bytes.
    """

    file: LiveCopy
    proof: int
    checked: Instant
    previous: str = ""
    signature: LiveCopy | None = None

    def seen(self, path: str, family: Family) -> RootPair:
        """Return the root at `path` as an observation of it."""
        root = StoredFile(path, self.file.digest, self.file.size, Proof(self.proof))
        beside = family.signature(path)
        if beside is None or self.signature is None:
            return RootPair(root)
        return RootPair(root, StoredFile(beside, self.signature.digest, self.signature.size, Proof.NONE))


class LiveStates:
    """Reads are inline. A state that the full disk does not take is remembered by this process alone, until it can be written."""

    def __init__(self, catalog: Catalog, blobs: Blobs) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._unwritten: dict[str, LiveState] = {}

    def of(self, archive: Archive, path: str) -> LiveState | None:
        """Return what stands at `path`. Without its bytes nothing does: upstream would only say that they have not changed."""
        standing = self._unwritten.get(_key(archive, path)) or self._written(_key(archive, path))
        return standing if standing is not None and self._is_held(standing) else None

    def _is_held(self, standing: LiveState) -> bool:
        copies = [standing.file] if standing.signature is None else [standing.file, standing.signature]
        return all(size_of(self._blobs, copy.digest) is not None for copy in copies)

    def _written(self, key: str) -> LiveState | None:
        state: Mapping[str, Any] | None = self._catalog.fact(key, 0)
        if state is None:
            return None
        signature = state["signature"]
        return LiveState(
            LiveCopy(**state["file"]),
            state["proof"],
            state["checked"],
            state["previous"],
            None if signature is None else LiveCopy(**signature),
        )

    async def put(self, archive: Archive, path: str, standing: LiveState, *, is_root: bool) -> None:
        """Write down what stands at `path` now."""
        key = _key(archive, path)
        try:
            if is_root and not self._is_registered(archive, path):
                await self._catalog.put_name(_register(archive), path, Name("", 0, 0))
            await self._catalog.put_fact(key, asdict(standing))
        except StorageFailure as failure:
            log.warning("what %s looks like now is kept in memory only: %s", key, failure)
            while len(self._unwritten) >= MAX_UNWRITTEN:
                self._unwritten.pop(next(iter(self._unwritten)))
            self._unwritten[key] = standing
        else:
            self._unwritten.pop(key, None)

    async def drop(self, archive: Archive, path: str) -> None:
        """Forget a file that is no more."""
        key = _key(archive, path)
        self._unwritten.pop(key, None)
        try:
            await self._catalog.drop_fact(key)
        except StorageFailure as failure:
            log.warning("%s is still said to be there: %s", key, failure)

    def roots(self, archive: Archive) -> list[tuple[str, LiveState]]:
        """Return every root that stands, by path, the one confirmed last first."""
        paths = {path for path, _ in self._catalog.names(_register(archive))}
        standing = [(path, each) for path in sorted(paths) if (each := self.of(archive, path)) is not None]
        return sorted(standing, key=lambda root: -root[1].checked)

    def _is_registered(self, archive: Archive, path: str) -> bool:
        return self._catalog.name(_register(archive), path) is not None


def _key(archive: Archive, path: str) -> str:
    return f"live/{archive.name}/{path}"


def _register(archive: Archive) -> str:
    """Return the catalog space that lists which roots of an archive have been served live."""
    return f"roots:{archive.name}/{LIVE}"
