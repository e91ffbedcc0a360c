"""Holds still what moves: within a capture `latest` stays what it came to first, and the present stays with the roots that were given.

Also knows under which name and snapshot an answer is kept. Asks through `core.exchange.Settling`; takes the notes of what it froze.
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
"""The history by which a live capture goes on: what was seen here, whichever way else its archive remembers."""


def observed(archive: Archive) -> Archive:
    """Return an archive as one of which only what was seen here is known."""
    return replace(archive, history=OBSERVED, snapshot=())


class Freeze:
    """Turns what is asked within a capture into what does not move."""

    def __init__(
        self,
        settling: SnapshotLookup,
        *,
        families: Mapping[str, Family],
        histories: Mapping[str, History],
        now: Callable[[], Instant],
    ) -> None:
        self._settling = settling
        self._families = families
        self._histories = histories
        self._now = now

    def snapshot(self, archive: Archive, served: Served, path: str) -> str:
        """Return under which id a capture keeps an answer: of a live root, the instant at which it was seen first."""
        if served.snapshot == LIVE and served.role is Role.ROOT:
            instant = self._settling.first_seen(archive, path, served.digest)
            return LIVE if instant is None else format_instant(instant)
        return served.snapshot

    def role(self, target: FileTarget | ServiceTarget) -> Role:
        """Return what a file is to its archive."""
        return (
            self._families[target.archive.family].classify(target.path).role
            if isinstance(target, FileTarget)
            else Role.OTHER
        )

    async def canonical_path(self, notes: Notes, target: FileTarget | ServiceTarget, requested: str) -> str:
        """Return the canonical name of a file that is asked for by its digest: as a root in this capture has it."""
        if not isinstance(target, FileTarget):
            return target.path
        place = self._families[target.archive.family].classify(target.path)
        if place.by_hash is not None:
            for path in place.roots:
                root = notes.entries.get((target.archive.name, requested, path))
                if root is not None and not root.is_absence:
                    name = await self._settling.canonical(target.archive, path, root.sha256, target.path)
                    if name is not None:
                        return name
        return target.path

    async def held_still(self, ledger: CaptureWriter, target: FileTarget) -> list[FileTarget] | Refusal:
        """Return what to ask so that a moving time stays where this capture has found it, the likeliest first."""
        match target.when.match:
            case Match.LATEST:
                return await self._frozen(ledger, target)
            case Match.LIVE:
                return self._pinned(ledger.notes, target)
        return [target]

    async def _frozen(self, ledger: CaptureWriter, target: FileTarget) -> list[FileTarget] | Refusal:
        """Hold `latest` to what it came to first."""
        archive, is_observed = target.archive, self._histories[target.archive.history].is_observed
        if archive.name not in ledger.notes.frozen:
            instant = self._now()
            if not is_observed:
                resolved = await self._settling.resolve(archive, target.when)
                if isinstance(resolved, Refusal):
                    return resolved
                instant = resolved.instant
            ledger.add(note_frozen(archive.name, instant))
        instant = ledger.notes.frozen[archive.name]
        match = Match.NEAREST if is_observed else Match.HELD
        return [replace(target, when=TimeSpec(format_instant(instant), instant, match))]

    def _pinned(self, notes: Notes, target: FileTarget) -> list[FileTarget]:
        """Hold the present to the roots that this capture was given: what they vouch for is asked for as it was seen with them."""
        archive, place = target.archive, self._families[target.archive.family].classify(target.path)
        roots = place.roots or ((target.path,) if place.role is Role.ROOT else ())
        instants = [
            self._settling.first_seen(archive, root.path, root.sha256)
            for root in notes.roots(archive.name, LIVE)
            if not roots or root.path in roots
        ]
        return [
            replace(target, archive=observed(archive), when=TimeSpec(format_instant(instant), instant, Match.EXACT))
            for instant in instants
            if instant is not None
        ] or [target]
