"""Brings the bytes that a record names: from the store, and what that lacks from its archive, as the snapshot that answered has it.

Nothing but the recorded bytes is ever given: what came is held to the sha256 and the size of the record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from snapproxy.capture.deferred_body import DeferredBody, wait_until_stored
from snapproxy.capture.freeze import observed
from snapproxy.capture.stored_entry import StoredBytes, gone, of_recorded_size
from snapproxy.core.exchange import FileTarget, Outcome, Served, ServiceTarget, SnapshotLookup
from snapproxy.core.model import LIVE, Archive, Match, Refusal, TimeSpec
from snapproxy.core.record import RecordEntry
from snapproxy.errors import ArchiveDataError
from snapproxy_storage import Blobs

_SERVICE_FILE = "/file/"


class Refetch:
    """A way to bring (`replay.Bring`) that may ask upstream. `rows`: the archives by name."""

    def __init__(self, settling: SnapshotLookup, blobs: Blobs, archives: Mapping[str, Archive]) -> None:
        self._settling = settling
        self._blobs = blobs
        self._archives = archives

    async def __call__(self, entry: RecordEntry) -> StoredBytes | Refusal:
        """Return the bytes of an entry, or why they cannot be had."""
        blob = self._blobs.peek(entry.sha256) or await self._blobs.open(entry.sha256)
        if blob is not None:
            return of_recorded_size(blob, entry)
        archive = self._archives.get(entry.archive)
        if archive is None:
            return gone(entry)
        target = _target(archive, entry)

        async def ask() -> Outcome:
            return await self._settling.as_of(target, entry.snapshot)

        return _judged(await ask(), entry, ask)


def _judged(outcome: Outcome, entry: RecordEntry, ask: Callable[[], Awaitable[Outcome]]) -> StoredBytes | Refusal:
    """Hold what upstream has to what was recorded. What still arrives is held to it before its end is shown."""

    async def check() -> None:
        whole = await wait_until_stored(ask)
        if isinstance(whole, Served):
            whole.body.close()
        if not isinstance(whole, Served) or (whole.digest, whole.body.size) != (entry.sha256, entry.size):
            refusal = _other_bytes(entry, "")
            raise ArchiveDataError(refusal.reason, why=refusal.why, hint=refusal.hint)

    if isinstance(outcome, Refusal) and not outcome.is_absence:
        return outcome
    if not isinstance(outcome, Served):
        return _no_longer_there(entry)
    size = outcome.body.size
    if outcome.digest not in ("", entry.sha256) or size not in (None, entry.size):
        outcome.body.close()
        return _other_bytes(entry, outcome.digest)
    body = outcome.body if outcome.digest else DeferredBody(outcome.body, check, lambda: None)
    return StoredBytes(body, outcome.cache)


def _target(archive: Archive, entry: RecordEntry) -> FileTarget | ServiceTarget:
    if entry.is_service:
        sha1 = entry.path.removeprefix(_SERVICE_FILE).partition("/")[0] if entry.path.startswith(_SERVICE_FILE) else ""
        return ServiceTarget(archive, entry.path, sha1)
    if entry.requested == LIVE:  # what was live then is the past now, as far as it was observed
        archive = observed(archive)
    return FileTarget(archive, TimeSpec(entry.snapshot, None, Match.EXACT), entry.path)


def _no_longer_there(entry: RecordEntry) -> Refusal:
    return Refusal(
        424,
        "Upstream has no longer what was recorded",
        f"{entry.path} of {entry.archive}/{entry.snapshot} was served with sha256 {entry.sha256}.",
        "Import the artifact that holds it, or record the build again.",
    )


def _other_bytes(entry: RecordEntry, digest: str) -> Refusal:
    found = f"sha256 {digest}" if digest else "another size"
    return Refusal(
        424,
        "Upstream's bytes are not the recorded ones",
        f"{entry.path} of {entry.archive}/{entry.snapshot} was served with sha256 {entry.sha256}; upstream's have {found}.",
        "Import the artifact that holds it. If nobody altered the record, the archive has changed its past.",
    )
