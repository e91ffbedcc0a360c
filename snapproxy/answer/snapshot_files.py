"""Obtain files of a resolved snapshot: join their downloads, wait until they are stored, and record their names."""

from __future__ import annotations

import logging
from dataclasses import replace

from snapproxy.answer.planner import Planner
from snapproxy.base import refusals
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names, size_of
from snapproxy.core.model import LIVE, TIMELESS, Instant, Match, Refusal, Resolved, Role, TimeSpec
from snapproxy.core.plan_model import MAX_ROOT, Fetch, NotStored, PlanRequest, Serve, StoredFile
from snapproxy.download.downloads import Downloads
from snapproxy.download.flight import Flight
from snapproxy.download.outcome import Stored
from snapproxy.trust.roots import RootVerifier
from snapproxy_storage import StorageFailure, Store, read_blob

log = logging.getLogger(__name__)

PLANS = 3
"""Maximum number of plans for one request: a file is planned again if its blob was evicted or another process stored
it.
"""


class SnapshotFiles:
    """The files of snapshots, in the store or downloaded into it. `offline`: nothing is downloaded."""

    def __init__(
        self,
        *,
        store: Store,
        planner: Planner,
        downloads: Downloads,
        roots: RootVerifier,
        names: Names,
        offline: bool,
    ) -> None:
        self._store = store
        self._planner = planner
        self._downloads = downloads
        self._roots = roots
        self._names = names
        self._offline = offline

    def missing(self, step: Fetch) -> Refusal:
        """Refuse a file that the store lacks while offline."""
        digest = None if step.expected is None else self._names.sha256_of(step.space.partition("/")[0], step.expected)
        if digest is not None and self._store.blobs.was_damaged(digest):
            return refusals.damaged_offline(step.reported_space, step.path, digest)
        spaces = {step.space, step.reported_space}  # a capture recorded the absence under the reported one
        was_absent = any(self._names.was_absent(space, step.path) for space in spaces)
        return refusals.missing_offline(step, was_absent=was_absent)

    def join(self, step: Fetch, context: RequestContext) -> tuple[Flight, bool]:
        """Start or join the flight. The name of its file is recorded even if every client has disconnected by then."""
        check = self._roots.check_for(step, context, self.obtain) if step.role is Role.ROOT else None
        flight, joined = self._downloads.join(step, context, check)
        if step.name_it:
            flight.expects_name = True
            self._downloads.run_detached(self._name_when_stored(flight, step))
        return flight, joined

    async def drop(self, step: Serve) -> Refusal | None:
        """Remove the name of a file whose blob is gone. Return a refusal if it was damaged and cannot be fetched."""
        if self._offline and self._store.blobs.was_damaged(step.digest):
            return refusals.damaged_offline(step.reported_space, step.path, step.digest)
        await self._names.drop_name(step.space, step.path, step.digest)
        return None

    async def name(self, step: Serve, context: RequestContext) -> None:
        """Record the name of a stored file. Only observed archives have no other record of it."""
        file = StoredFile(step.path, step.digest, step.size, step.proof)
        permanent = context.history.is_observed
        try:
            await self._names.put_name(step.space, step.path, file, step.role, step.resolved, permanent=permanent)
            if step.also:
                timeless = f"{step.space.partition('/')[0]}/{TIMELESS}"
                await self._names.put_name(
                    timeless, step.also, file, step.role, Resolved(TIMELESS, 0), permanent=permanent
                )
        except StorageFailure as failure:  # the disk is full: the client is served, the name is not recorded
            log.warning("A file was stored, but its name could not be recorded in the catalog: %s", failure)

    async def own_date(self, step: Serve, context: RequestContext) -> Instant | None:
        """Return the own date of a stored changing file; record it if it was stored without (by an import).

        None if it has no date.
        """
        archive = context.archive.name
        own = self._names.own_date(archive, step.path, step.digest)
        if own is not None:
            return own
        last_modified = self._names.date(step.digest)
        data = await read_blob(self._store.blobs, step.digest, MAX_ROOT) if step.role is Role.ROOT else None
        own = last_modified if data is None else context.family.root_date(data) or last_modified
        if own is not None:
            try:
                await self._names.put_own_date(archive, step.path, step.digest, own, last_modified)
            except StorageFailure as failure:  # the disk is full: the date proves nothing until it is recorded
                log.warning("The date of a root could not be recorded in the catalog: %s", failure)
        return own

    async def judge_again(self, step: Serve, context: RequestContext) -> Serve | Refusal:
        """Check a root again that has no proof although its archive has keys: its signature may have appeared since.

        The absence of a signature is recorded for ten minutes, so that a repeated check costs no request.
        """
        if self._offline or not self._roots.can_check(context.archive.name):
            return step
        signature = context.family.signature(step.path)
        if signature is not None and not isinstance(await self.obtain(context, step.resolved, signature), StoredFile):
            return step
        root = Fetch("", step.space, step.path, (), step.role, step.proof, step.resolved)
        proof = await self._roots.verify_stored(root, context, step.digest, self.obtain)
        if isinstance(proof, Refusal) or proof <= step.proof:
            return proof if isinstance(proof, Refusal) else step
        log.info("%s of %s: its signature appeared and is good", step.path, step.space)
        await self._names.forget_proofs(step.space)
        return replace(step, proof=proof, name_it=True)

    async def wait_for_name(self, step: Fetch) -> None:
        """Wait until the process that stored a file has recorded its name.

        This returns immediately for a file with a strong digest, which is found without its name.
        """
        if step.expected is None or not step.expected.is_strong:
            await self._names.wait_for_name(step.space, step.path, step.expected)

    async def _name_when_stored(self, flight: Flight, step: Fetch) -> None:
        outcome = await flight.ended()
        try:
            if isinstance(outcome, Stored) and not outcome.is_in_memory:
                await self.name(outcome.serving(step), flight.context)
        finally:
            flight.clear_name_pending()

    async def obtain(
        self, context: RequestContext, resolved: Resolved, path: str
    ) -> StoredFile | NotStored | Refusal | None:
        """Obtain another file of a resolved snapshot, whole and verified; None if the snapshot has no such file.

        NotStored: the file exists, but the disk is too full to store it.
        """
        request = PlanRequest(context.archive, _exactly(resolved), path)
        for _ in range(PLANS):
            step = await self._planner.plan(request, resolved, context, self.obtain)
            match step:
                case Serve():
                    if await size_of(self._store.blobs, step.digest) is not None:
                        return StoredFile(step.path, step.digest, step.size, step.proof)
                    if (damaged := await self.drop(step)) is not None:
                        return damaged
                case Refusal():
                    return None if step.is_absence else step
                case Fetch() if self._offline:
                    return None if (missing := self.missing(step)).is_absence else missing
                case Fetch():
                    stored = await self._download(step, context)
                    if stored is not None:
                        return None if isinstance(stored, Refusal) and stored.is_absence else stored
                case _:
                    raise AssertionError("the plan for a file redirected to a folder")
        return refusals.vanished()

    async def _download(self, step: Fetch, context: RequestContext) -> StoredFile | NotStored | Refusal | None:
        """Download a file and wait until it is stored; None if another process has stored it."""
        flight, _ = self.join(step, context)
        match outcome := await flight.wait_outcome(context):
            case Stored(is_in_memory=False):
                serve = outcome.serving(step)
                await self.name(serve, context)
                return StoredFile(serve.path, serve.digest, serve.size, serve.proof)
            case Stored():
                return NotStored()
            case Refusal():
                return outcome
            case None:
                return flight.timeout_refusal()
        await self.wait_for_name(step)
        return None


def _exactly(resolved: Resolved) -> TimeSpec:
    """Return the time that names a resolved snapshot."""
    if resolved.snapshot == LIVE:
        return TimeSpec(LIVE, None, Match.LIVE)
    return TimeSpec(resolved.snapshot, resolved.instant, Match.EXACT)
