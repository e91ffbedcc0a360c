"""A flight: one single-flight download in progress, with any number of readers (rule 4).

A flight has a step, an outcome and a draft, but no reference to the downloader: an `Attempt` in this process sets its
fields, or another process writes the draft that this one follows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.core import exchange
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.plan_model import Fetch, Source
from snapproxy.download.outcome import DownloadOutcome
from snapproxy.download.services import DownloadServices
from snapproxy_storage import Body, Draft, DraftOrphaned, Slot

TAKE_OVER_SECONDS = 0.05
"""Poll interval for the new writer of a draft whose process died, and the time that a failed draft has to disappear."""

TAKE_OVER_POLLS = 200
"""Number of polls for a new writer: the total is ten seconds, because on a busy machine the flight of this process
reacts late.
"""

RETURN_SECONDS = 15.0
"""How long after its Retry-After a client whose timeout ended counts as a reader: it was asked to request again."""


class Flight:
    """One download in progress, and its readers (`core.rate_limit.Demand`).

    `stop` ends a flight without readers; the bytes so far are kept. A flight without readers and without bytes is
    stopped. One that receives bytes continues until a client needs its connection.
    """

    def __init__(
        self,
        step: Fetch,
        context: RequestContext,
        services: DownloadServices,
        clock: Clock,
        stop: Callable[[Flight], None],
    ) -> None:
        self.step = step
        self.context = context
        self._stop = stop
        self._readers: list[RequestContext] = []
        self._last_clients = frozenset({context.client.peer})
        self._returning = 0.0
        """Until when (monotonic seconds) a client that was asked to request again counts as a reader."""
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
        self.is_transferring = False
        """Whether bytes arrive or are being verified: the flight then continues without readers."""
        self.is_storing = False
        """Whether the verified bytes are being stored and recorded: the flight then ends by itself, and soon."""
        self.is_stopped = False
        """Whether it was stopped because it had no reader; its outcome follows."""
        self.is_exhausted = True
        """Whether no source is left that a further attempt could try, if this one fails."""
        self.has_wrong_source = False
        """Whether a source recently sent other bytes: a client may have a part of them, which it must not continue."""
        self.is_followed = False
        """Whether a reader in this process has received bytes while they arrive."""
        self.expects_name = False
        """Whether a caller waits for the outcome in order to write the file's name, and calls `clear_name_pending`."""
        self.unstored: Body | None = None
        """The bytes of a finished download that the disk did not take; they are freed by `release_unstored`."""
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

    @property
    def is_joinable(self) -> bool:
        """Whether a further request may wait for the outcome; otherwise it needs a flight of its own."""
        return self.is_exhausted and not self.is_stopped

    @property
    def readers(self) -> int:
        """The number of requests that wait for this flight or read its bytes."""
        return len(self._readers)

    @property
    def is_unread(self) -> bool:
        """Whether no request waits for this flight or reads its bytes."""
        return not self._readers and self._clock.monotonic() >= self._returning

    @property
    def is_background(self) -> bool:
        """Whether requests of clients have priority: all its readers are jobs, or may have disconnected."""
        return bool(self._readers) and all(each.background or each.client.may_have_left for each in self._readers)

    @property
    def clients(self) -> frozenset[str]:
        """The addresses of the clients that wait for it; of the last ones if none does, or '' for jobs alone."""
        waiting = frozenset(each.client.peer for each in self._readers if not each.background)
        return waiting or self._last_clients

    def give_way(self) -> bool:
        """Stop if there is no reader. Return whether it stops."""
        if not self.is_unread or self.is_storing or self.outcome.done():
            return False
        self._stop(self)
        return True

    def add_reader(self, context: RequestContext) -> None:
        """Count a request that waits for this flight or reads its bytes."""
        self._readers.append(context)

    def remove_reader(self, context: RequestContext) -> None:
        """End the count of a request. After the last one, a flight that receives no bytes is stopped."""
        self._last_clients = self.clients
        self._readers.remove(context)
        if not self._readers:
            # Not now: the same request may continue by reading the bytes.
            asyncio.get_running_loop().call_soon(self.stop_if_idle)

    @contextlib.contextmanager
    def reading(self, context: RequestContext) -> Iterator[None]:
        """Count a request as a reader during the block."""
        self.add_reader(context)
        try:
            yield
        finally:
            self.remove_reader(context)

    def stop_if_idle(self) -> None:
        """Stop a flight without readers whose bytes do not arrive: it waits for a connection, or for an answer."""
        if not self.is_transferring:
            self.give_way()

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

    async def wait_outcome(self, context: RequestContext, deadline: float | None = None) -> DownloadOutcome | None:
        """Wait for the outcome as a reader; return None if it is not set by `deadline` (that of `context`, if None)."""
        with self.reading(context), contextlib.suppress(TimeoutError):
            async with self._clock.timeout(self._seconds_left(context, deadline)):
                await asyncio.wait({self.outcome})
        return self.outcome.result() if self.outcome.done() else None

    async def wait_started(self, context: RequestContext) -> DownloadOutcome | None:
        """Wait as a reader until bytes arrive, the flight ends, or the deadline; return the outcome if it has ended."""
        with self.reading(context), contextlib.suppress(TimeoutError):
            async with self._clock.timeout(self._seconds_left(context, None)):
                while not self.receiving.is_set():  # it may be cleared again before this task runs
                    await self.receiving.wait()
        return self.outcome.result() if self.outcome.done() else None

    async def ended(self) -> DownloadOutcome:
        """Wait for the outcome without being a reader: for work that follows if there is one."""
        await asyncio.wait({self.outcome})
        return self.outcome.result()

    def follow(self, context: RequestContext) -> exchange.ResponseBody | None:
        """Return a reader of the bytes while they arrive, in this or another process.

        Return None if the flight has ended and the bytes are in the store or discarded; the caller must plan again.
        """
        if self.outcome.done() and self.unstored is None:
            return None
        body = self.open_draft()
        if body is None:
            return None
        self.is_followed = True
        return FlightReader(self, body, self._clock, context)

    def release_unstored(self) -> None:
        """Free the memory of a download that the disk did not take, once its readers have ended as well."""
        if self.unstored is not None:
            self.unstored.close()
            self.unstored = None

    def open_draft(self) -> Body | None:
        """Return a reader of the draft that this process or another one writes; None if no process does."""
        return self.draft.follow() if self.draft is not None else self._services.drafts.follow(self.step.key)

    async def open_stored(self) -> Body | None:
        """Return the expected bytes if the store has them by now."""
        digest = self.step.expected.digests.get("sha256") if self.step.expected is not None else None
        return await self._services.blobs.open(digest) if digest else None

    def timeout_refusal(self) -> Refusal:
        """Return the refusal for a client whose timeout ends before the bytes arrive. It is asked to request again.

        The flight continues until then.
        """
        refusal = self._services.recent.unfinished(self.step, self.source)
        seconds = float(refusal.headers["Retry-After"]) + RETURN_SECONDS
        self._returning = max(self._returning, self._clock.monotonic() + seconds)
        asyncio.get_running_loop().call_later(seconds, self.stop_if_idle)
        return refusal

    def _seconds_left(self, context: RequestContext, deadline: float | None) -> float | None:
        end = context.deadline if deadline is None else deadline
        return None if end == float("inf") else max(0.0, end - self._clock.monotonic())


class FlightReader:
    """A reader that does not fail if the process that writes its draft dies.

    It continues with the draft of the next writer.

    The bytes before the interruption are of the same file, so no byte is sent twice (`core.exchange.ResponseBody`).
    """

    def __init__(self, flight: Flight, body: Body, clock: Clock, context: RequestContext) -> None:
        self._flight = flight
        self._body = body
        self._clock = clock
        self._context: RequestContext | None = context
        flight.add_reader(context)

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
        if self._context is not None:
            self._flight.remove_reader(self._context)
            self._context = None

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
