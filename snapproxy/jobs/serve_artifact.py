"""Serve a capture directly from its artifact: nothing is imported, and no store is needed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from snapproxy.capture.replay import Replayed
from snapproxy.capture.stored_entry import StoredBytes
from snapproxy.core.model import Proof, Refusal
from snapproxy.core.record import RecordEntry
from snapproxy.jobs.open_artifact import FoundArtifact, read
from snapproxy.oci.artifact import Opened, verified
from snapproxy.oci.layout import ImageLayout, open_layout
from snapproxy.oci.places import LayoutPlace, TarPlace


@asynccontextmanager
async def replayed_from(place: LayoutPlace | TarPlace) -> AsyncIterator[Replayed]:
    """Open the artifact at a place, to be replayed while the context is open.

    Raises the same errors as `open_artifact.read` and `open_layout`.

    Files are verified by their digests. No signature is checked, and the proofs in the artifact are not trusted: the
    proof is at most `digest`, and clients verify as usual.
    """
    async with open_layout(place) as layout:
        found = await read(layout, await layout.resolve(place.tag))
        entries = tuple(replace(each, proof=min(each.proof, Proof.DIGEST)) for each in found.record.entries)
        yield Replayed(replace(found.record, entries=entries), f"The artifact {place}", _ArtifactBytes(layout, found))


class _ArtifactBytes:
    """Reads the files of an artifact's entries (`capture.replay.Bring`); verifies each one before it is served.

    A file is verified once, and again only if it was replaced or written to.
    """

    def __init__(self, layout: ImageLayout, found: FoundArtifact) -> None:
        self._layout = layout
        self._layers = {layer.hex: layer for layer in found.layers}
        self._verified: dict[str, tuple[int, ...]] = {}
        """The state of each verified file at the time of its verification, by digest."""
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __call__(self, entry: RecordEntry) -> StoredBytes | Refusal:
        """Return the bytes of an entry. Raises ArchiveDataError if they are missing or damaged."""
        layer = self._layers[entry.sha256]  # `capture.artifact.restore` has checked that it exists
        opened = await self._layout.open(layer)
        try:
            async with self._reading[entry.sha256]:
                state = opened.state()
                if self._verified.get(entry.sha256) != state:
                    async for _ in verified(opened.chunks(0, opened.size), layer):
                        pass
                    self._verified[entry.sha256] = state
        except BaseException:
            opened.close()
            raise
        return StoredBytes(_WholeBody(opened, entry.size))


class _WholeBody:
    """An opened blob as a response body (`core.exchange.ResponseBody`)."""

    def __init__(self, opened: Opened, size: int) -> None:
        self._opened = opened
        self.size: int | None = size

    def fileno(self) -> int | None:
        return self._opened.fileno()

    async def wait(self, offset: int) -> int:  # noqa: ARG002 # complete at any offset
        return self.size or 0

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        return self._opened.chunks(start, stop)

    def close(self) -> None:
        self._opened.close()
