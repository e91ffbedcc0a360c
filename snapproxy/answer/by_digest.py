"""Gives what is in the store to whoever knows its digest: another snapproxy above all (`core.blob_sources`).

From the store alone. Whoever asks by digest asks several holders one after the other, so "no" must come at once, and two that
name each other must not go round. Nothing is recorded in a capture: such an answer is of no archive and no time.
"""

from __future__ import annotations

from snapproxy.base.names import Names
from snapproxy.core.exchange import BlobTarget, Served
from snapproxy.core.model import Proof, Refusal, Role
from snapproxy_storage import Blobs


class StoreByDigest:
    """Answers by digest (`core.exchange.Holding`)."""

    def __init__(self, blobs: Blobs, names: Names) -> None:
        self._blobs = blobs
        self._names = names

    async def answer(self, target: BlobTarget) -> Served | Refusal:
        """Return the bytes, or a 404."""
        blob = await self._blobs.open(target.digest)
        if blob is None:
            return Refusal(
                404,
                "No such bytes in this store",
                "Asked by digest, snapproxy gives what it holds and fetches nothing.",
                "Ask for the file by its name and time; that brings it here.",
            )
        told = {"Docker-Content-Digest": f"sha256:{target.digest}"}
        date = self._names.date(target.digest)
        return Served(blob, "", "", "", Proof.DIGEST, "HIT", Role.OTHER, date, target.digest, headers=told)
