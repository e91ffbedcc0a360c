"""Judges a root: that it can be read, that its signature is good, and so how far it can be believed.

The verdict itself is pure (`core.signatures`); the checks are made by `openpgp` and `raw_signatures`, as the family says its roots are signed. This module
brings the detached signature, if the root has one, and turns a bad verdict into the refusal that a client prints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from snapproxy.base import refusals
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Archive, Family, Proof, Refusal, Resolved
from snapproxy.core.plan_model import MAX_ROOT, Fetch, NotStored, StoredFile
from snapproxy.core.signature_schemes import OpenPgp, RawSignatures
from snapproxy.core.signatures import Verdict, judge
from snapproxy.errors import ArchiveDataError
from snapproxy.trust import openpgp, raw_signatures
from snapproxy.trust.openpgp import OpenPgpVerifier
from snapproxy_storage import Blobs, BodyTooLarge, read_blob

MAX_SIGNATURE = 1 << 20
"""Bytes of a detached signature; Debian's are below 4 KiB."""

RootCheck = Callable[[bytes], Awaitable[Proof | Refusal]]
Obtain = Callable[[RequestContext, Resolved, str], Awaitable[StoredFile | NotStored | Refusal | None]]


def available_keyrings(archive: Archive, family: Family) -> tuple[str, ...]:
    """Return the row's keyrings that can be read here, in its order. Looks at the disk: for start-up, not for the event loop."""
    match family.scheme:
        case OpenPgp():
            return openpgp.available_keyrings(archive)
        case RawSignatures():
            return raw_signatures.available_keys(archive)


def _read_on(family: Family, path: str, data: bytes) -> None:
    """Read a root, so that one which contradicts itself is none; of one that promises packages the first promise will do.

    By then its whole frame was looked at, so that nothing stands around the signed part.
    """
    for _ in family.read_index(path, [data]):
        if family.roots_list_packages:
            break


class RootVerifier:
    """Makes the judge of a root that is about to arrive."""

    def __init__(self, blobs: Blobs, verifier: OpenPgpVerifier, keyrings: Mapping[str, Sequence[str]]) -> None:
        """`keyrings` are those of each archive that can be read here; without any, its roots have no proof."""
        self._blobs = blobs
        self._verifier = verifier
        self._keyrings = keyrings

    def can_check(self, archive: str) -> bool:
        """Whether there is anything here to check the archive's roots by."""
        return bool(self._keyrings[archive])

    def check_for(self, step: Fetch, context: RequestContext, obtain: Obtain) -> RootCheck:
        """Return what decides, from the whole bytes of the root, whether it may be stored, and with which proof."""

        async def decide(data: bytes) -> Proof | Refusal:
            try:
                await asyncio.to_thread(_read_on, context.family, step.path, data)
            except ArchiveDataError as error:
                return refusals.unreadable(step, error)
            keyrings = self._keyrings[context.archive.name]
            if not keyrings:
                return Proof.NONE
            match context.family.scheme:
                case OpenPgp():
                    verdict = await self._by_openpgp(step, context, obtain, data, keyrings)
                case RawSignatures(read):
                    verdict = await raw_signatures.verify(await asyncio.to_thread(read, step.path, data), keyrings)
            if verdict is None:
                return Proof.NONE
            if isinstance(verdict, Refusal):
                return verdict
            if verdict.good:
                return Proof.GPG
            return Refusal(424, verdict.reason, f"{step.path} of {step.space}: {verdict.why}", verdict.hint)

        return decide

    async def _by_openpgp(
        self, step: Fetch, context: RequestContext, obtain: Obtain, data: bytes, keyrings: Sequence[str]
    ) -> Verdict | Refusal | None:
        """Check the signature inside the root, or the one beside it; None when it is not signed at all, and never said to be."""
        signature: bytes | None = None
        if path := context.family.signature(step.path):
            unhurried = replace(context, deadline=float("inf"))  # the flight outlives the patience of who began it
            found = await self._signature(await obtain(unhurried, step.resolved, path))
            if found is None or isinstance(found, Refusal):
                return found
            signature = found
        return judge((await self._verifier.verify(data, signature, keyrings)).lines)

    async def verify_stored(self, step: Fetch, context: RequestContext, digest: str, obtain: Obtain) -> Proof | Refusal:
        """Judge a root that is in the store, by a signature that has come since."""
        try:
            data = await read_blob(self._blobs, digest, MAX_ROOT)
        except BodyTooLarge as error:
            return refusals.unreadable(step, ArchiveDataError("The root is too large", why=f"{error}."))
        if data is None:
            return refusals.vanished()
        return await self.check_for(step, context, obtain)(data)

    async def _signature(self, held: StoredFile | NotStored | Refusal | None) -> bytes | Refusal | None:
        if isinstance(held, NotStored):
            return refusals.disk_full()
        if held is None or isinstance(held, Refusal):
            return held
        try:
            data = await read_blob(self._blobs, held.digest, MAX_SIGNATURE)
        except BodyTooLarge:
            data = None
        if data is None:
            return Refusal(424, "The detached signature cannot be read", f"{held.path} has {held.size} bytes.")
        return data
