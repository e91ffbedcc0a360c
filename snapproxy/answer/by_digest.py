"""Answer requests for a blob by its digest, mainly from another snapproxy (`core.blob_sources`).

Only the store is used. A client requests a digest from several sources one after the other, so an absence must be
answered without delay, and two proxies that name each other must not form a request loop. Captures do not record these
answers, because they have no archive and no time.
"""

from __future__ import annotations

from snapproxy.base.names import Names
from snapproxy.core.exchange import BlobTarget, Served
from snapproxy.core.model import Proof, Refusal, Role
from snapproxy_storage import Blobs


class StoreByDigest:
    """Answer from the store by digest (implements `core.exchange.BlobAnswerer`)."""

    def __init__(self, blobs: Blobs, names: Names) -> None:
        self._blobs = blobs
        self._names = names

    async def answer(self, target: BlobTarget) -> Served | Refusal:
        """Return the blob, or a 404."""
        blob = await self._blobs.open(target.digest)
        if blob is None:
            return Refusal(
                404,
                "The store has no blob with this digest",
                "Requests by digest are answered from the store; nothing is downloaded for them.",
                "Request the file by its name and time first: then it is downloaded and stored.",
            )
        headers = {"Docker-Content-Digest": f"sha256:{target.digest}"}
        date = self._names.date(target.digest)
        return Served(
            blob,
            "",
            "",
            "",
            Proof.DIGEST,
            "HIT",
            Role.OTHER,
            date,
            target.digest,
            headers=headers,
            date_is_proof=True,
        )
