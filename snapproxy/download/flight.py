"""A flight: one single-flight download in progress, with any number of readers (rule 4).

A flight has a step, an outcome and a draft, but no reference to the downloader: an `Attempt` in this process sets its
fields, or another process writes the draft that this one follows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.core import exchange
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.plan_model import Fetch, Source
from snapproxy.download.outcome import DownloadOutcome, Stored
from snapproxy.download.services import DownloadServices
from snapproxy_storage import Body, Draft, DraftOrphaned, Slot

TAKE_OVER_SECONDS = 0.05
"""Poll interval for the new writer of a draft whose process died, and the time that a failed draft has to disappear."""

TAKE_OVER_POLLS = 200
"""Number of polls for a new writer: the total is ten seconds, because on a busy machine the flight of this process
reacts late.
"""


class Flight:
    """One download in progress, and its readers."""

    def __init__(self, step: Fetch, context: RequestContext, services: DownloadServices, clock: Clock) -> None:
        self.step = step
        self.context = context
        self.outcome: asyncio.Future[DownloadOutcome] = asyncio.get_running_loop().create_future()
        """The outcome, set exactly once, by `finish`."""
        self.receiving = asyncio.Event()
        """Set while bytes arrive, and from the outcome on; cleared while the bytes so far are discarded or verified."""
        self.date: Instant | None = None
        """The Last-Modified of the arriving bytes."""
        self.draft: Draft | None = None
        """The draft, if this process writes it."""
        self.source: Source | None = None
        """The source of the current request, if this process sends one."""
        self.is_followed = False
        """Whether a reader in this process has received bytes while they arrive."""
        self.expects_name = False
        """Whether a caller waits for the outcome in order to write the file's name, and calls `clear_name_pending`."""
        self._services = services
        self._name_pending: Slot | None = None
        self._clock = clock

    def __repr__(self) -> str:
        state = "finished" if self.outcome.done() else "receiving" if self.is_receiving else "asking"
        return f"<Flight {self.step.key} {state}>"

    @property
    def is_receiving(self) -> bool:
        """Whether bytes arrive, so that a reader can follow them."""
        return self.receiving.is_set() and not self.outcome.done()

    def finish(self, outcome: DownloadOutcome) -> None:
        """Set the outcome, and wake the readers that wait for bytes that will not arrive."""
        self.outcome.set_result(outcome)
        self.receiving.set()

    def mark_name_pending(self) -> None:
        """Announce to all processes that the file's name is about to be written, if it is found by its name alone."""
        if self.expects_name and (self.step.expected is None or not self.step.expected.is_strong):
            self._name_pending = self._services.mark_name_pending(self.step)

    def clear_name_pending(self) -> None:
        """End the announcement: the name is written, or could not be written."""
        if self._name_pending is not None:
            self._name_pending.release()
            self._name_pending = None

    async def wait_outcome(self, deadline: float) -> DownloadOutcome | None:
        """Wait for the outcome until `deadline` (monotonic seconds); return None if it is not set in time."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(self._seconds_until(deadline)):
                await asyncio.wait({self.outcome})
        return self.outcome.result() if self.outcome.done() else None

    async def wait_started(self, deadline: float) -> DownloadOutcome | None:
        """Wait until bytes arrive or the flight ends, or until `deadline`; return the outcome if it has ended."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(self._seconds_until(deadline)):
                while not self.receiving.is_set():  # it may be cleared again before this task runs
                    await self.receiving.wait()
        return self.outcome.result() if self.outcome.done() else None

    def follow(self) -> exchange.ResponseBody | None:
        """Return a reader of the bytes while they arrive, in this or another process.

        Return None if the flight has ended and the bytes are in the store or discarded; the caller must plan again.
        """
        if self.outcome.done() and not _is_in_memory(self.outcome.result()):
            return None
        body = self.open_draft()
        if body is None:
            return None
        self.is_followed = True
        return FlightReader(self, body, self._clock)

    def open_draft(self) -> Body | None:
        """Return a reader of the draft that this process or another one writes; None if no process does."""
        return self.draft.follow() if self.draft is not None else self._services.drafts.follow(self.step.key)

    async def open_stored(self) -> Body | None:
        """Return the expected bytes if the store has them by now."""
        digest = self.step.expected.digests.get("sha256") if self.step.expected is not None else None
        return await self._services.blobs.open(digest) if digest else None

    def timeout_refusal(self) -> Refusal:
        """Return the refusal for a client whose timeout ends before the bytes arrive, with the expected wait."""
        wait = 0.0 if self.source is None else self._services.recent.expected_wait(self.source)
        return refusals.client_timeout(self.step, wait)

    def _seconds_until(self, deadline: float) -> float | None:
        return None if deadline == float("inf") else max(0.0, deadline - self._clock.monotonic())


class FlightReader:
    """A reader that does not fail if the process that writes its draft dies.

    It continues with the draft of the next writer.

    The bytes before the interruption are of the same file, so no byte is sent twice (`core.exchange.ResponseBody`).
    """

    def __init__(self, flight: Flight, body: Body, clock: Clock) -> None:
        self._flight = flight
        self._body = body
        self._clock = clock

    @property
    def size(self) -> int | None:
        return self._body.size

    def fileno(self) -> int | None:
        return self._body.fileno()

    async def wait(self, offset: int) -> int:
        while True:
            try:
                return await self._body.wait(offset)
            except DraftOrphaned:
                await self._reopen()

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            end = min(stop, await self.wait(start))
            async for piece in self._body.chunks(start, end):
                start += len(piece)
                yield piece

    def close(self) -> None:
        self._body.close()

    async def _reopen(self) -> None:
        """Open the draft of the new writer, or the stored file; raise DraftOrphaned if no process continues it."""
        for _ in range(TAKE_OVER_POLLS):
            await self._clock.sleep(TAKE_OVER_SECONDS)
            is_over = self._flight.outcome.done()
            body = self._flight.open_draft() or await self._flight.open_stored()
            if body is not None:
                self._body.close()
                self._body = body
                return
            if is_over:
                break
        raise DraftOrphaned("the process that downloaded this file died, and no other process continued the download")


def _is_in_memory(outcome: DownloadOutcome) -> bool:
    return isinstance(outcome, Stored) and outcome.is_in_memory
