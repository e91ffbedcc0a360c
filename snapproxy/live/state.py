"""The state of each live file, stored as one fact a file, and the register of the roots that were served live."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snapproxy.core.model import LIVE, Archive, Family, Instant, Proof
from snapproxy.core.plan_model import StoredFile
from snapproxy.download.outcome import Stored
from snapproxy.live.observations import RootPair
from snapproxy_storage import Blobs, Catalog, Meta, Name, StorageFailure

log = logging.getLogger(__name__)

MAX_UNWRITTEN = 256
"""Maximum number of states kept in memory while the catalog cannot be written; the oldest is dropped first."""

UNUSED_SECONDS = 30 * 86400
"""How long the state of a file that is no root is kept after it was checked last."""


@dataclass(frozen=True, slots=True)
class LiveCopy:
    """A stored file, with the validators that upstream sent for it (ETag, Last-Modified)."""

    digest: str
    size: int
    etag: str = ""
    last_modified: str = ""

    @classmethod
    def of(cls, outcome: Stored) -> LiveCopy:
        """Return the copy that a download has stored."""
        return cls(outcome.digest, outcome.size, outcome.etag, outcome.last_modified)

    @property
    def validators(self) -> Meta:
        """The validators for a conditional request; empty without an ETag.

        If-Modified-Since alone is not sufficient: an archive that returned to an older state answers it with "not
        modified" too (RFC 9110, section 13.1.3).
        """
        return Meta(etag=self.etag, last_modified=self.last_modified) if self.etag else Meta()


@dataclass(frozen=True, slots=True)
class LiveState:
    """One live file as last adopted.

    `checked`: the time of the last answer that upstream has it. `previous`: the digest of the root before it, whose
    by-hash names are still served. `signature`: the detached signature of exactly these bytes. `date`: the date that a
    root contains.
    """

    file: LiveCopy
    proof: int
    checked: Instant
    previous: str = ""
    signature: LiveCopy | None = None
    date: Instant | None = None

    def seen(self, path: str, family: Family) -> RootPair:
        """Return the root at `path` with its signature, as observations record it."""
        root = StoredFile(path, self.file.digest, self.file.size, Proof(self.proof))
        beside = family.signature(path)
        if beside is None or self.signature is None:
            return RootPair(root, is_unsigned=beside is not None, date=self.date)
        signature = StoredFile(beside, self.signature.digest, self.signature.size, Proof.NONE)
        return RootPair(root, signature, date=self.date)


class LiveStates:
    """Stored states. Reads are inline. A state that cannot be written (full disk) is kept in memory until it can."""

    def __init__(self, catalog: Catalog, blobs: Blobs) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._unwritten: dict[str, LiveState] = {}

    def of(self, archive: Archive, path: str) -> LiveState | None:
        """Return the state of the file at `path`, None if it or its bytes are missing.

        Without the bytes a conditional request is useless: upstream would answer that they have not changed.
        """
        state = self._unwritten.get(_key(archive, path)) or self._written(_key(archive, path))
        return state if state is not None and self._is_stored(state) else None

    def _is_stored(self, state: LiveState) -> bool:
        copies = [state.file] if state.signature is None else [state.file, state.signature]
        return all(self._blobs.size(copy.digest) is not None for copy in copies)

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
            state.get("date"),  # older versions stored none
        )

    async def put(self, archive: Archive, path: str, state: LiveState, *, is_root: bool) -> None:
        """Store the state of the file at `path`."""
        key = _key(archive, path)
        try:
            if is_root and not self._is_registered(archive, path):
                await self._catalog.put_name(_register(archive), path, Name("", 0, 0))
            # Any file of the archive may be requested; the roots are few.
            expires = None if is_root else state.checked + UNUSED_SECONDS
            await self._catalog.put_fact(key, asdict(state), expires=expires)
        except StorageFailure as failure:
            log.warning("The state of %s could not be stored and is kept in memory only: %s", key, failure)
            while len(self._unwritten) >= MAX_UNWRITTEN:
                self._unwritten.pop(next(iter(self._unwritten)))
            self._unwritten[key] = state
        else:
            self._unwritten.pop(key, None)

    async def drop(self, archive: Archive, path: str) -> None:
        """Remove the state of a file that the archive no longer has."""
        key = _key(archive, path)
        self._unwritten.pop(key, None)
        try:
            await self._catalog.drop_fact(key)
        except StorageFailure as failure:
            log.warning("The state of %s could not be removed: %s", key, failure)

    def roots(self, archive: Archive) -> list[tuple[str, LiveState]]:
        """Return the state of every root that was served live, the most recently checked first."""
        paths = {path for path, _ in self._catalog.names(_register(archive))}
        states = [(path, each) for path in sorted(paths) if (each := self.of(archive, path)) is not None]
        return sorted(states, key=lambda root: -root[1].checked)

    def _is_registered(self, archive: Archive, path: str) -> bool:
        return self._catalog.name(_register(archive), path) is not None


def copies_in(fact: Mapping[str, Any]) -> list[str]:
    """Return the digests of the files of a stored state: the file, the root before it, the signature."""
    signature = fact["signature"]
    return [fact["file"]["digest"], fact["previous"], "" if signature is None else signature["digest"]]


def _key(archive: Archive, path: str) -> str:
    return f"live/{archive.name}/{path}"


def _register(archive: Archive) -> str:
    """Return the catalog space that lists which roots of an archive have been served live."""
    return f"roots:{archive.name}/{LIVE}"
