"""Judges a root: runs the signature check over its bytes and says how far it can be believed.

The verdict itself is pure (`core.signatures`), the program is run by `openpgp`; this module brings the detached signature, if the root
has one, and turns a bad verdict into the refusal that a client prints.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from snapproxy.core.model import Proof, Refusal, Resolved
from snapproxy.core.plan import Fetch, Held
from snapproxy.core.signatures import judge
from snapproxy.shell.asking import Asking
from snapproxy.shell.openpgp import available_keyrings, verify
from storage import Blobs

MAX_SIGNATURE = 1 << 20
"""Bytes of a detached signature; Debian's are below 4 KiB."""

Judge = Callable[[bytes], Awaitable[Proof | Refusal]]
Obtain = Callable[[Asking, Resolved, str], Awaitable[Held | Refusal | None]]


class Roots:
    """Makes the judge of a root that is about to arrive."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def judge(self, step: Fetch, asking: Asking, obtain: Obtain) -> Judge:
        """Return what decides, from the whole bytes of the root, whether it may be stored, and with which proof."""

        async def decide(data: bytes) -> Proof | Refusal:
            keyrings = available_keyrings(asking.row.keyrings)
            if not keyrings:
                return Proof.NONE
            signature = None
            if path := asking.family.signature(step.path):
                signature = await self._signature(await obtain(asking, step.resolved, path))
                if signature is None:
                    return Proof.NONE  # not signed at all, and never said to be
                if isinstance(signature, Refusal):
                    return signature
            verdict = judge(await verify(data, signature, keyrings))
            if verdict.good:
                return Proof.GPG
            return Refusal(424, verdict.reason, f"{step.path} of {step.space}: {verdict.why}", verdict.hint)

        return decide

    async def _signature(self, held: Held | Refusal | None) -> bytes | Refusal | None:
        if held is None or isinstance(held, Refusal):
            return held
        blob = await self._blobs.open(held.digest)
        if blob is None or blob.size > MAX_SIGNATURE:
            return Refusal(424, "The detached signature cannot be read", f"{held.path} has {held.size} bytes.")
        try:
            return b"".join([piece async for piece in blob.chunks(0, blob.size)])
        finally:
            blob.close()
