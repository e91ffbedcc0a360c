"""Freeze moving times within a capture: `latest` keeps its first instant, `live` the roots that were served first.

This module also determines the name and the snapshot under which an answer is recorded. It resolves times by
`core.exchange.SnapshotLookup`, and records the instant of `latest` in the capture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from snapproxy.capture.captures import CaptureWriter
from snapproxy.capture.notes import Notes, note_frozen
from snapproxy.core.exchange import FileTarget, Served, ServiceTarget, SnapshotLookup
from snapproxy.core.history import History
from snapproxy.core.model import LIVE, Archive, Family, Instant, Match, Refusal, Role, TimeSpec
from snapproxy.core.time_spec import format_instant

OBSERVED = "captured"
"""The history of a live capture's requests: this server's observations, whatever other history the archive has."""


def observed(archive: Archive) -> Archive:
    """Return an archive with this server's observations as its only history."""
    return replace(archive, history=OBSERVED, snapshot=())


class Freeze:
    """Replaces the moving times of a capture's requests by fixed ones."""

    def __init__(
        self,
        lookup: SnapshotLookup,
        *,
        families: Mapping[str, Family],
        histories: Mapping[str, History],
        now: Callable[[], Instant],
    ) -> None:
        self._lookup = lookup
        self._families = families
        self._histories = histories
        self._now = now

    def snapshot(self, archive: Archive, served: Served, path: str) -> str:
        """Return the snapshot to record for an answer; for a live root it is the instant of its first observation."""
        if served.snapshot == LIVE and served.role is Role.ROOT:
            instant = self._lookup.first_seen(archive, path, served.digest)
            return LIVE if instant is None else format_instant(instant)
        return served.snapshot

    def role(self, target: FileTarget | ServiceTarget) -> Role:
        """Return the role of a file in its archive."""
        return (
            self._families[target.archive.family].classify(target.path).role
            if isinstance(target, FileTarget)
            else Role.OTHER
        )

    async def canonical_path(self, notes: Notes, target: FileTarget | ServiceTarget, requested: str) -> str:
        """Return the canonical path of a file; a by-hash path is replaced by the path in a root of the capture."""
        if not isinstance(target, FileTarget):
            return target.path
        place = self._families[target.archive.family].classify(target.path)
        if place.by_hash is not None:
            for path in place.roots:
                root = notes.entries.get((target.archive.name, requested, path))
                if root is not None and not root.is_absence:
                    name = await self._lookup.canonical(target.archive, path, root.sha256, target.path)
                    if name is not None:
                        return name
        return target.path

    async def fixed_targets(self, writer: CaptureWriter, target: FileTarget) -> list[FileTarget] | Refusal:
        """Return the targets to request in place of a moving time, the most likely first."""
        match target.when.match:
            case Match.LATEST:
                return await self._fixed_latest(writer, target)
            case Match.LIVE:
                return self._fixed_live(writer.notes, target)
        return [target]

    async def _fixed_latest(self, writer: CaptureWriter, target: FileTarget) -> list[FileTarget] | Refusal:
        """Replace `latest` by the instant that it had first in this capture."""
        archive, is_observed = target.archive, self._histories[target.archive.history].is_observed
        if archive.name not in writer.notes.frozen:
            instant = self._now()
            if not is_observed:
                resolved = await self._lookup.resolve(archive, target.when)
                if isinstance(resolved, Refusal):
                    return resolved
                instant = resolved.instant
            writer.add(note_frozen(archive.name, instant))
        instant = writer.notes.frozen[archive.name]
        match = Match.NEAREST if is_observed else Match.AT
        return [replace(target, when=TimeSpec(format_instant(instant), instant, match))]

    def _fixed_live(self, notes: Notes, target: FileTarget) -> list[FileTarget]:
        """Replace `live` by the times of the roots that this capture was served.

        Files are thus requested as they were observed with these roots. A file that no index lists is requested as it
        is now: a key beside the repository was not observed with a root.
        """
        archive, place = target.archive, self._families[target.archive.family].classify(target.path)
        if place.is_unlisted:
            return [target]
        roots = place.roots or ((target.path,) if place.role is Role.ROOT else ())
        instants = [
            self._lookup.first_seen(archive, root.path, root.sha256)
            for root in notes.roots(archive.name, LIVE)
            if not roots or root.path in roots
        ]
        return [
            replace(target, archive=observed(archive), when=TimeSpec(format_instant(instant), instant, Match.EXACT))
            for instant in instants
            if instant is not None
        ] or [target]
