"""Record every answer that belongs to a capture. `Recorder` wraps another `core.exchange.Answerer`.

Within a capture, the first answer to a request is final. An answer is therefore recorded before its head is sent, and
later requests, in this process or another, get the first answer. While a file is still being downloaded, its answer is
recorded before its last byte is sent: a file that a client has received completely is in the capture.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from snapproxy.base.references import no_eviction
from snapproxy.capture.captures import MOST_ENTRIES, Captures, CaptureWriter
from snapproxy.capture.deferred_body import DeferredBody, wait_until_stored
from snapproxy.capture.freeze import Freeze
from snapproxy.capture.notes import note_passed
from snapproxy.capture.stored_entry import absent, stored_bytes
from snapproxy.core.exchange import (
    Answerer,
    Conditions,
    FileTarget,
    Outcome,
    PassTarget,
    Prefetch,
    ResponseBody,
    Served,
    ServiceTarget,
    TunnelTarget,
)
from snapproxy.core.model import TIMELESS, Match, Proof, Refusal, Role
from snapproxy.core.record import RecordEntry
from snapproxy.core.time_spec import canonical_time
from snapproxy.errors import ClientError, SnapproxyError
from snapproxy_storage import Blobs, JournalRemoved, StorageFailure

log = logging.getLogger(__name__)

_ATTEMPTS = 3
"""Maximum number of answers to a request, if the blob of each is removed before it is recorded."""


class Recorder:
    """Answers requests as `answerer` does, and records them in the captures that they name."""

    def __init__(
        self,
        answerer: Answerer,
        captures: Captures,
        *,
        freeze: Freeze,
        blobs: Blobs,
    ) -> None:
        self._answerer = answerer
        self._captures = captures
        self.freeze = freeze
        self.blobs = blobs
        self._unfinished: set[asyncio.Task[None]] = set()

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        """Answer a request. If it names a capture, return the recorded answer, or record the new one."""
        if not target.capture:
            return await self._answerer.answer(target, conditions)
        try:
            writer = self._captures.get_open(target.capture) or await self._captures.open(target.capture)
            try:
                return await _RecordedRequest(self, writer, target, conditions).answer()
            except JournalRemoved:  # another process has closed or removed the capture
                self._captures.forget(target.capture)
                writer = await self._captures.open(target.capture)
                return await _RecordedRequest(self, writer, target, conditions).answer()
        except SnapproxyError as error:
            return Refusal(error.status, error.reason, error.why, error.hint)
        except StorageFailure as failure:
            log.exception("An answer could not be recorded in a capture")
            return _not_recorded(str(failure))

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Prefetch | None:
        """Start the download for a queued request, unless its capture may replace the requested time."""
        if not target.capture:
            return self._answerer.prefetch(target, conditions)
        if isinstance(target, FileTarget) and target.when.match not in (Match.LIVE, Match.LATEST):
            return self._answerer.prefetch(replace(target, capture=""), conditions)
        return None

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Record the host of a request that is passed through unpinned."""
        if target.capture:
            try:
                writer = await self._captures.open(target.capture)
                try:
                    writer.add(note_passed(target.host))
                except JournalRemoved:
                    self._captures.forget(target.capture)
                    writer = await self._captures.open(target.capture)
                    writer.add(note_passed(target.host))
                return _closed() if writer.notes.is_closed else None
            except SnapproxyError as error:
                return Refusal(error.status, error.reason, error.why, error.hint)
            except StorageFailure as failure:
                return _not_recorded(str(failure))
        return None

    async def close(self) -> None:
        """Wait until the answers whose clients disconnected early are recorded."""
        while self._unfinished:
            await asyncio.gather(*self._unfinished, return_exceptions=True)
        self._captures.close_writers()

    def finish_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Finish recording in the background after the client disconnected."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)

    # --- used by recorded requests --------------------------------------------------------------------------

    def ask(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Coroutine[Any, Any, Outcome]:
        """Get an answer from the wrapped answerer."""
        return self._answerer.answer(target, conditions)

    async def recorded_answer(self, entry: RecordEntry) -> Outcome:
        """Return a recorded answer as first sent."""
        if entry.is_absence:
            return absent(entry)
        stored = await stored_bytes(self.blobs, entry)
        if isinstance(stored, Refusal):
            return stored
        return Served(
            stored.body,
            entry.archive,
            entry.snapshot,
            entry.requested,
            entry.proof,
            "HIT",
            entry.role,
            digest=entry.sha256,
        )


class _RecordedRequest:
    """One request that names a capture."""

    def __init__(
        self, recorder: Recorder, writer: CaptureWriter, target: FileTarget | ServiceTarget, conditions: Conditions
    ) -> None:
        self._recorder = recorder
        self._writer = writer
        self._target = target
        self._conditions = conditions
        self.requested = canonical_time(target.when) if isinstance(target, FileTarget) else TIMELESS
        self._is_moving = isinstance(target, FileTarget) and target.when.match in (Match.LIVE, Match.LATEST)

    async def answer(self) -> Outcome:
        notes = self._writer.notes
        entry = notes.entries.get(self._key(self._target.path))
        if entry is None and notes.is_closed:
            entry = notes.entries.get(self._key(await self._canonical_path()))
            if entry is None:
                return _closed()
        if entry is not None and entry.is_absence:
            return await self._recorder.recorded_answer(entry)
        for _ in range(_ATTEMPTS):
            outcome = await self._ask()
            if isinstance(outcome, Served) and not outcome.digest:
                return replace(outcome, body=self._deferred(outcome.body), requested=self._requested_time(outcome))
            noted = await self._note(outcome)
            if noted is not None:
                return noted
        raise StorageFailure("The file was removed from the store again and again while it was recorded")

    async def finish(self) -> None:
        """Record a file that is downloaded completely. Raises StorageFailure if it cannot be recorded."""
        for _ in range(_ATTEMPTS):
            outcome = await wait_until_stored(self._ask)
            if not isinstance(outcome, Served):
                break
            noted = await self._note(outcome)
            if isinstance(noted, Served):
                noted.body.close()
                if noted.digest and noted.digest == outcome.digest:
                    return
            if noted is not None:
                break
        raise StorageFailure("A file that was served could not be recorded in its capture")

    def _deferred(self, body: ResponseBody) -> ResponseBody:
        """Withhold the last byte of a file until it is recorded.

        If the client disconnects before, the file is recorded in the background once it is stored.
        """
        return DeferredBody(body, self.finish, lambda: self._recorder.finish_in_background(self._finish_or_log()))

    async def _finish_or_log(self) -> None:
        try:
            await self.finish()
        except Exception as error:  # noqa: BLE001 # bodies raise errors of many kinds, and no client waits for this one
            log.info("The answer was not recorded and its last byte was not sent: %s", error)

    def _key(self, path: str) -> tuple[str, str, str]:
        return self._target.archive.name, self.requested, path

    async def _canonical_path(self) -> str:
        return await self._recorder.freeze.canonical_path(self._writer.notes, self._target, self.requested)

    def _requested_time(self, served: Served) -> str:
        """Return the requested time as the client wrote it."""
        return self.requested if self._is_moving else served.requested

    def _ask(self) -> Coroutine[Any, Any, Outcome]:
        """Get the answer, with a moving time replaced by a fixed one."""
        if isinstance(self._target, FileTarget) and self._is_moving:
            return self._ask_fixed(self._target)
        return self._recorder.ask(self._target, self._conditions)

    async def _ask_fixed(self, target: FileTarget) -> Outcome:
        """Get the answer for the file at the fixed times of this capture.

        A capture has several fixed times if several roots were served; the first one that has the file wins.
        """
        targets = await self._recorder.freeze.fixed_targets(self._writer, target)
        if isinstance(targets, Refusal):
            return targets
        for each in targets[:-1]:
            outcome = await self._recorder.ask(each, self._conditions)
            if not (isinstance(outcome, Refusal) and (outcome.is_absence or outcome.is_unobserved)):
                return outcome
        return await self._recorder.ask(targets[-1], self._conditions)

    async def _note(self, outcome: Outcome) -> Outcome | None:
        """Record an answer, or return the answer that was recorded before.

        Return None, and record nothing, if its blob has been removed from the store: ask again.
        """
        by_digest = isinstance(outcome, Served) and outcome.role is Role.INDEX
        entry = self._entry(outcome, await self._canonical_path() if by_digest else self._target.path)
        if entry is None:
            return outcome
        try:
            async with no_eviction(self._recorder.blobs):
                is_evicted = not entry.is_absence and self._recorder.blobs.size(entry.sha256) is None
                first = None if is_evicted else self._claim(entry)
        except BaseException:
            if isinstance(outcome, Served):
                outcome.body.close()
            raise
        if is_evicted and isinstance(outcome, Served):
            outcome.body.close()
            return None
        if first is not None and first.sha256 == entry.sha256:
            return (
                replace(outcome, requested=self.requested)
                if self._is_moving and isinstance(outcome, Served)
                else outcome
            )
        if isinstance(outcome, Served):
            outcome.body.close()
        return _closed() if first is None else await self._recorder.recorded_answer(first)

    def _entry(self, outcome: Outcome, path: str) -> RecordEntry | None:
        """Return the entry for an answer under the canonical name `path`.

        Return None if it is not an answer of the archive.
        """
        archive, freeze = self._target.archive, self._recorder.freeze
        if isinstance(outcome, Served):
            if not outcome.digest:
                return None
            snapshot, size = freeze.snapshot(archive, outcome, path), outcome.body.size or 0
            return RecordEntry(
                archive.name, self.requested, snapshot, path, outcome.role, outcome.proof, size, outcome.digest
            )
        if isinstance(outcome, Refusal) and outcome.is_absence and not _is_folder(path):
            snapshot = outcome.headers.get("X-Snapproxy-Snapshot", "").partition("/")[2]
            return RecordEntry(archive.name, self.requested, snapshot, path, freeze.role(self._target), Proof.NONE)
        return None

    def _claim(self, entry: RecordEntry) -> RecordEntry | None:
        """Record an answer unless one is recorded already. Return the recorded one, None if the capture is closed."""
        entries = self._writer.notes.entries
        if entry.key not in entries:
            if len(entries) >= MOST_ENTRIES:
                raise ClientError(
                    "The capture is full",
                    why=f"It has {MOST_ENTRIES} answers, and no capture may have more.",
                    hint="Record further builds under other names.",
                )
            self._writer.note(entry)
        return self._writer.notes.entries.get(entry.key)


def _is_folder(path: str) -> bool:
    return not path or path.endswith("/")


def _closed() -> Refusal:
    return Refusal(
        403,
        "The capture is closed and does not contain this file",
        "A closed capture answers only requests that were recorded while it was open.",
        "Record under another name, or use x as the password to record nothing.",
    )


def _not_recorded(why: str) -> Refusal:
    return Refusal(
        424,
        "The answer could not be recorded in the capture",
        why,
        "Nothing is served without being recorded. Repair the store and try again.",
    )
