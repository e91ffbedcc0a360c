"""Stands before whatever answers requests, and takes a note of each answer that goes into a capture (`core.exchange.Answerer`).

Within a capture the first answer to a question is the answer for ever. So a note is taken before the head is sent, and whoever comes
second, in this process or another, is given what the first was. Of a file that still arrives, the note is taken before its end is shown:
a client that has everything can rely on the capture having it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from snapproxy.capture.captures import Captures, CaptureWriter
from snapproxy.capture.deferred_body import DeferredBody, wait_until_stored
from snapproxy.capture.freeze import Freeze
from snapproxy.capture.notes import note_passed, note_valid
from snapproxy.capture.stored_entry import absent, stored_bytes
from snapproxy.core.exchange import (
    Answerer,
    Conditions,
    FileTarget,
    Outcome,
    PassTarget,
    ResponseBody,
    Served,
    ServiceTarget,
    TunnelTarget,
)
from snapproxy.core.model import TIMELESS, Instant, Match, Proof, Refusal, Role
from snapproxy.core.record import RecordEntry
from snapproxy.core.time_spec import canonical_time
from snapproxy.errors import SnapproxyError
from snapproxy_storage import Blobs, StorageFailure

log = logging.getLogger(__name__)


class Recorder:
    """Answers targets as `answerer` does, and keeps the captures they name."""

    def __init__(
        self,
        answerer: Answerer,
        captures: Captures,
        *,
        stillness: Freeze,
        blobs: Blobs,
    ) -> None:
        self._answerer = answerer
        self._captures = captures
        self.stillness = stillness
        self._blobs = blobs
        self._unfinished: set[asyncio.Task[None]] = set()

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        """Answer a request; one that names a capture gets what the capture holds, or is noted there."""
        if not target.capture:
            return await self._answerer.answer(target, conditions)
        try:
            ledger = self._captures.at_hand(target.capture) or await self._captures.ledger(target.capture)
            return await _Question(self, ledger, target, conditions).answer()
        except SnapproxyError as error:
            return Refusal(error.status, error.reason, error.why, error.hint)
        except StorageFailure as failure:
            log.exception("a capture could not be kept")
            return _not_recorded(str(failure))

    def prefetch(self, target: FileTarget | ServiceTarget) -> None:
        """Begin the flight of a request that waits, unless a capture may hold it to another time than it says."""
        if not target.capture:
            self._answerer.prefetch(target)
        elif isinstance(target, FileTarget) and target.when.match not in (Match.LIVE, Match.LATEST):
            self._answerer.prefetch(replace(target, capture=""))

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Note the host that a request goes to unpinned."""
        if target.capture:
            try:
                ledger = await self._captures.ledger(target.capture)
                ledger.add(note_passed(target.host))
                return _closed() if ledger.notes.is_closed else None
            except SnapproxyError as error:
                return Refusal(error.status, error.reason, error.why, error.hint)
            except StorageFailure as failure:
                return _not_recorded(str(failure))
        return None

    async def close(self) -> None:
        """Wait for the notes of answers that nobody read to their end."""
        while self._unfinished:
            await asyncio.gather(*self._unfinished, return_exceptions=True)
        self._captures.close_ledgers()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Finish a note though its client has left."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)

    # --- what the questions use -------------------------------------------------------------------------------------------

    def ask(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Coroutine[Any, Any, Outcome]:
        """Ask whoever answers, no capture named."""
        return self._answerer.answer(target, conditions)

    async def given(self, entry: RecordEntry) -> Outcome:
        """Return what a capture holds, as it was given first."""
        if entry.is_absence:
            return absent(entry)
        brought = await stored_bytes(self._blobs, entry)
        if isinstance(brought, Refusal):
            return brought
        return Served(
            brought.body,
            entry.archive,
            entry.snapshot,
            entry.requested,
            entry.proof,
            "HIT",
            entry.role,
            digest=entry.sha256,
        )


class _Question:
    """One request that names a capture."""

    def __init__(
        self, recorder: Recorder, ledger: CaptureWriter, target: FileTarget | ServiceTarget, conditions: Conditions
    ) -> None:
        self._recorder = recorder
        self._ledger = ledger
        self._target = target
        self._conditions = conditions
        self.requested = canonical_time(target.when) if isinstance(target, FileTarget) else TIMELESS
        self._moves = isinstance(target, FileTarget) and target.when.match in (Match.LIVE, Match.LATEST)

    async def answer(self) -> Outcome:
        notes = self._ledger.notes
        entry = notes.entries.get(self._key(self._target.path))
        if entry is None and notes.is_closed:
            entry = notes.entries.get(self._key(await self._canonical_path()))
            if entry is None:
                return _closed()
        if entry is not None and entry.is_absence:
            return await self._recorder.given(entry)
        outcome = await self._ask()
        if isinstance(outcome, Served) and not outcome.digest:
            return replace(outcome, body=self._arriving(outcome.body), requested=self._told(outcome))
        return await self._noted(outcome)

    async def finish(self) -> None:
        """Note a file that has arrived. Raises StorageFailure when it cannot be."""
        outcome = await wait_until_stored(self._ask)
        if isinstance(outcome, Served):
            noted = await self._noted(outcome)
            if isinstance(noted, Served):
                noted.body.close()
                if noted.digest and noted.digest == outcome.digest:
                    return
        raise StorageFailure("a file that was served could not be noted in its capture")

    def _arriving(self, body: ResponseBody) -> ResponseBody:
        """Show the end of a file once it is noted; one whose client has left before is noted once it is here."""
        return DeferredBody(body, self.finish, lambda: self._recorder.later(self._finish_or_log()))

    async def _finish_or_log(self) -> None:
        try:
            await self.finish()
        except Exception as error:  # noqa: BLE001 # bodies fail in their own ways, and nobody waits for this one
            log.info("not noted in a capture, nobody has it: %s", error)

    def _key(self, path: str) -> tuple[str, str, str]:
        return self._target.archive.name, self.requested, path

    async def _canonical_path(self) -> str:
        return await self._recorder.stillness.canonical_path(self._ledger.notes, self._target, self.requested)

    def _told(self, served: Served) -> str:
        """Return what was asked, as the client put it."""
        return self.requested if self._moves else served.requested

    def _ask(self) -> Coroutine[Any, Any, Outcome]:
        """Ask, with what moves held still."""
        if isinstance(self._target, FileTarget) and self._moves:
            return self._ask_held_still(self._target)
        return self._recorder.ask(self._target, self._conditions)

    async def _ask_held_still(self, target: FileTarget) -> Outcome:
        """Ask for what moves as it was found first; of several roots' views of a package, the first that has it."""
        targets = await self._recorder.stillness.held_still(self._ledger, target)
        if isinstance(targets, Refusal):
            return targets
        for each in targets[:-1]:
            outcome = await self._recorder.ask(each, self._conditions)
            if not (isinstance(outcome, Refusal) and outcome.is_absence):
                return outcome
        return await self._recorder.ask(targets[-1], self._conditions)

    async def _noted(self, outcome: Outcome) -> Outcome:
        """Take a note of an answer, or give what was noted before it."""
        by_digest = isinstance(outcome, Served) and outcome.role is Role.INDEX
        entry = self._entry(outcome, await self._canonical_path() if by_digest else self._target.path)
        if entry is None:
            return outcome
        try:
            first = self._claim(entry, outcome.valid if isinstance(outcome, Served) else None)
        except BaseException:
            if isinstance(outcome, Served):
                outcome.body.close()
            raise
        if first is not None and first.sha256 == entry.sha256:
            return (
                replace(outcome, requested=self.requested) if self._moves and isinstance(outcome, Served) else outcome
            )
        if isinstance(outcome, Served):
            outcome.body.close()
        return _closed() if first is None else await self._recorder.given(first)

    def _entry(self, outcome: Outcome, path: str) -> RecordEntry | None:
        """Return what is noted of an answer, `path` being its canonical name; None for one that is none of the archive's."""
        archive, stillness = self._target.archive, self._recorder.stillness
        if isinstance(outcome, Served):
            if not outcome.digest:
                return None
            snapshot, size = stillness.snapshot(archive, outcome, path), outcome.body.size or 0
            return RecordEntry(
                archive.name, self.requested, snapshot, path, outcome.role, outcome.proof, size, outcome.digest
            )
        if isinstance(outcome, Refusal) and outcome.is_absence and not _is_folder(path):
            snapshot = outcome.headers.get("X-Snapproxy-Snapshot", "").partition("/")[2]
            return RecordEntry(archive.name, self.requested, snapshot, path, stillness.role(self._target), Proof.NONE)
        return None

    def _claim(self, entry: RecordEntry, valid: tuple[Instant, Instant] | None) -> RecordEntry | None:
        """Note an answer unless one stands; return the one that stands, None when the capture is closed."""
        notes, key = self._ledger.notes, entry.key
        if key not in notes.entries:
            self._ledger.note(entry)
            if valid is not None:
                standing = notes.valid.get(key[:2])
                if standing is None or _narrows(valid, standing):
                    self._ledger.add(note_valid(*key[:2], valid))
        return notes.entries.get(key)


def _narrows(span: tuple[Instant, Instant], standing: tuple[Instant, Instant]) -> bool:
    return span[0] > standing[0] or span[1] < standing[1]


def _is_folder(path: str) -> bool:
    return not path or path.endswith("/")


def _closed() -> Refusal:
    return Refusal(
        403,
        "The capture is closed and does not hold this",
        "A closed capture answers what it was asked while it was open, and takes nothing more.",
        "Record under another name, or use x as the password to record nothing.",
    )


def _not_recorded(why: str) -> Refusal:
    return Refusal(
        424,
        "The answer could not be recorded in the capture",
        why,
        "Nothing is served that the capture would lack. Mend the store and ask again.",
    )
