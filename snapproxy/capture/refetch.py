"""Fetch the files of a record from the store, otherwise from the archive at the recorded snapshot.

Only the recorded bytes are served: a download is compared with the sha256 and the size of the record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from snapproxy.capture.deferred_body import DeferredBody, wait_until_stored
from snapproxy.capture.freeze import observed
from snapproxy.capture.stored_entry import StoredBytes, damaged, gone, of_recorded_size
from snapproxy.core.exchange import FileTarget, Outcome, Served, ServiceTarget, SnapshotLookup
from snapproxy.core.model import LIVE, Archive, Match, Refusal, TimeSpec
from snapproxy.core.record import RecordEntry
from snapproxy.errors import ArchiveDataError
from snapproxy_storage import Blobs

_SERVICE_FILE = "/file/"


class Refetch:
    """Fetches the bytes of an entry (`replay.Bring`), from upstream if needed. `archives`: by name.

    `background`: clients' requests have priority.
    """

    def __init__(
        self, lookup: SnapshotLookup, blobs: Blobs, archives: Mapping[str, Archive], *, background: bool = False
    ) -> None:
        self._background = background
        self._lookup = lookup
        self._blobs = blobs
        self._archives = archives

    async def __call__(self, entry: RecordEntry) -> StoredBytes | Refusal:
        """Return the bytes of an entry, or the refusal with the reason."""
        blob = self._blobs.peek(entry.sha256) or await self._blobs.open(entry.sha256)
        if blob is not None:
            return of_recorded_size(blob, entry)
        archive = self._archives.get(entry.archive)
        if archive is None:
            return damaged(entry) if self._blobs.was_damaged(entry.sha256) else gone(entry)
        target = _target(archive, entry)

        async def ask() -> Outcome:
            return await self._lookup.as_of(target, entry.snapshot, background=self._background)

        return _compared(await ask(), entry, ask)


def _compared(outcome: Outcome, entry: RecordEntry, ask: Callable[[], Awaitable[Outcome]]) -> StoredBytes | Refusal:
    """Compare upstream's answer with the record. A running download is compared before its last byte is sent."""

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
        return _no_longer_available(entry)
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
    if entry.requested == LIVE:  # the live archive of that time is now in the past, if it was observed
        archive = observed(archive)
    return FileTarget(archive, TimeSpec(entry.snapshot, None, Match.EXACT), entry.path)


def _no_longer_available(entry: RecordEntry) -> Refusal:
    return Refusal(
        424,
        "Upstream no longer has the recorded file",
        f"{entry.path} of {entry.archive}/{entry.snapshot} was served with sha256 {entry.sha256}.",
        "Import the artifact that contains it, or record the build again.",
    )


def _other_bytes(entry: RecordEntry, digest: str) -> Refusal:
    found = f"sha256 {digest}" if digest else "another size"
    return Refusal(
        424,
        "Upstream's bytes differ from the recorded ones",
        f"{entry.path} of {entry.archive}/{entry.snapshot} was served with sha256 {entry.sha256}; "
        f"upstream's bytes have {found}.",
        "Import the artifact that contains it. If the record is unaltered, the archive has changed an old snapshot.",
    )
