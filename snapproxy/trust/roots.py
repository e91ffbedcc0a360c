"""Check a root: that it can be parsed, and that its signature is good. The result is its proof, or a refusal.

`openpgp` and `raw_signatures` check signatures, depending on the family's scheme; `core.signatures` derives the verdict
without I/O. This module obtains the detached signature, if the root has one, and turns a bad verdict into the refusal
that a client prints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from snapproxy.base import refusals
from snapproxy.base.context import RequestContext
from snapproxy.core.expected_files import DroppedEntries
from snapproxy.core.model import Archive, Family, Instant, Proof, Refusal, Resolved
from snapproxy.core.plan_model import MAX_ROOT, Fetch, NotStored, StoredFile
from snapproxy.core.root_checks import refuse_root
from snapproxy.core.signature_schemes import OpenPgp, RawSignatures
from snapproxy.core.signatures import Verdict, judge
from snapproxy.errors import ArchiveDataError
from snapproxy.trust import openpgp, raw_signatures
from snapproxy.trust.openpgp import OpenPgpVerifier
from snapproxy_storage import Blobs, BodyTooLarge, read_blob

MAX_SIGNATURE = 1 << 20
"""Maximum bytes of a detached signature; Debian's are below 4 KiB."""

RootCheck = Callable[[bytes], Awaitable[Proof | Refusal]]
"""Decides, from the whole bytes of a root, whether it may be stored, and with which proof."""

Obtain = Callable[[RequestContext, Resolved, str], Awaitable[StoredFile | NotStored | Refusal | None]]
"""Returns another file of the same snapshot, None if it does not exist."""


def available_keyrings(archive: Archive, family: Family) -> tuple[str, ...]:
    """Return the readable keyrings of an archive, in its order.

    It reads the disk: call it at start-up only.
    """
    match family.scheme:
        case OpenPgp():
            return openpgp.available_keyrings(archive)
        case RawSignatures():
            return raw_signatures.available_keys(archive)


def _parse(family: Family, path: str, data: bytes) -> None:
    """Parse a root, so that one that cannot be read is refused. Entries that cannot be used are dropped.

    A root that lists packages is parsed only up to the first package.

    At that point its whole frame has been checked, so no bytes surround the signed part.
    """
    dropped = DroppedEntries()
    for _ in dropped.some_of(family.read_index(path, [data], dropped.add)):
        if family.roots_list_packages:
            break


class RootVerifier:
    """Creates the checks of roots."""

    def __init__(self, blobs: Blobs, verifier: OpenPgpVerifier, keyrings: Mapping[str, Sequence[str]]) -> None:
        """`keyrings` are the readable ones of each archive; without any, its roots have no proof."""
        self._blobs = blobs
        self._verifier = verifier
        self._keyrings = keyrings

    def can_check(self, archive: str) -> bool:
        """Return whether the archive has a readable keyring, so that its roots are checked."""
        return bool(self._keyrings[archive])

    def check_for(self, step: Fetch, context: RequestContext, obtain: Obtain) -> RootCheck:
        """Return the check of a root that is about to be downloaded; `obtain` returns its detached signature."""

        async def check(data: bytes) -> Proof | Refusal:
            try:
                await asyncio.to_thread(_parse, context.family, step.path, data)
            except ArchiveDataError as error:
                return refusals.unreadable(step, error)
            slack = context.history.root_date_slack
            misplaced = refuse_root(context.family, step.path, data, step.resolved, slack, step.space)
            if misplaced is not None:
                return misplaced
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
            is_passing = verdict.is_mismatch and context.family.signature(step.path) is not None
            return refusals.unavailable(
                whole=True,
                status=502,
                reason=verdict.reason,
                why=f"{step.path} of {step.space}: {verdict.why}",
                hint=verdict.hint,
                retry_after=refusals.RETRY_SOON if is_passing else None,
            )

        return check

    async def _by_openpgp(
        self, step: Fetch, context: RequestContext, obtain: Obtain, data: bytes, keyrings: Sequence[str]
    ) -> Verdict | Refusal | None:
        """Check the signature in the root, or the detached one; None if the archive has no detached signature."""
        signature: bytes | None = None
        if path := context.family.signature(step.path):
            no_deadline = replace(
                context, deadline=float("inf")
            )  # a flight continues after the timeout of its first client
            found = await self._signature(await obtain(no_deadline, step.resolved, path))
            if found is None or isinstance(found, Refusal):
                return found
            signature = found
        return judge((await self._verifier.verify(data, signature, keyrings)).lines)

    async def verify_stored(self, step: Fetch, context: RequestContext, digest: str, obtain: Obtain) -> Proof | Refusal:
        """Check a root that is stored already, by a newer signature."""
        try:
            data = await read_blob(self._blobs, digest, MAX_ROOT)
        except BodyTooLarge as error:
            return refusals.unreadable(step, ArchiveDataError("The root is too large", why=f"{error}."))
        if data is None:
            return refusals.vanished()
        return await self.check_for(step, context, obtain)(data)

    async def date(self, context: RequestContext, digest: str) -> Instant | None:
        """Return the date that a stored root contains, None if it has none."""
        try:
            data = await read_blob(self._blobs, digest, MAX_ROOT)
        except BodyTooLarge:
            return None
        return None if data is None else context.family.root_date(data)

    async def _signature(self, file: StoredFile | NotStored | Refusal | None) -> bytes | Refusal | None:
        if isinstance(file, NotStored):
            return refusals.disk_full()
        if file is None or isinstance(file, Refusal):
            return file
        try:
            data = await read_blob(self._blobs, file.digest, MAX_SIGNATURE)
        except BodyTooLarge:
            data = None
        if data is None:
            return Refusal(424, "The detached signature cannot be read", f"{file.path} has {file.size} bytes.")
        return data
