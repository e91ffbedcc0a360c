"""Flights: one upstream download with any number of readers, in any process of the machine (rule 4).

A flight is keyed by its digest when one is promised, else by its name. Exactly one process writes its draft; the others follow the file.
How the bytes are brought from which source is `download`; what is asked for, and what becomes of it, is the executor's.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.core import exchange
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.plan_model import Fetch
from snapproxy.download.attempt import Attempt
from snapproxy.download.incoming import DownloadServices
from snapproxy.download.outcome import DownloadOutcome, Stored, StoredElsewhere
from snapproxy.errors import SnapproxyError
from snapproxy.trust.roots import Judge
from snapproxy_storage import Body, Draft, DraftFailed, DraftOrphaned, Meta, Slot, StorageFailure

log = logging.getLogger(__name__)

VERDICT_SECONDS = 15.0
"""How long a bad verdict is remembered, so that the retry of a client whose connection was cut is told the cause."""

MAX_FAILURES = 3
"""How often a draft of which nothing was sent, and which somebody else gave up, is begun once more."""

TAKE_OVER_SECONDS = 0.05
"""Between two looks for the new writer of a draft whose process died, and how long a failed draft has to be gone."""

TAKE_OVER_LOOKS = 200
"""How often a reader looks: ten seconds in all, for a machine so busy that our own flight is late to notice."""

KEPT_IN_MEMORY_SECONDS = 10.0
MAX_KEPT_IN_MEMORY_BYTES = 1 << 20
MAX_KEPT_IN_MEMORY = 16
"""How long, up to which size in bytes, and how many at once what the full disk did not take is kept in memory for who asks next."""


class Flight:
    """One download under way. `outcome` is told once; `is_receiving` once bytes come."""

    def __init__(self, step: Fetch, context: RequestContext, services: DownloadServices, clock: Clock) -> None:
        self.step = step
        self.context = context
        self.receiving = asyncio.Event()
        self.outcome: asyncio.Future[DownloadOutcome] = asyncio.get_running_loop().create_future()
        self.date: Instant | None = None
        self.is_followed = False
        """Whether somebody in this process was given the bytes to read as they arrive."""
        self.expects_name = False
        """Whether somebody waits for the outcome in order to name it, and calls `clear_name_pending`."""
        self.draft: Draft | None = None
        self.download: Attempt | None = None
        self._services = services
        self._name_pending: Slot | None = None
        self._clock = clock

    def __repr__(self) -> str:
        state = "landed" if self.outcome.done() else "receiving" if self.is_receiving else "asking"
        return f"<Flight {self.step.key} {state}>"

    @property
    def is_receiving(self) -> bool:
        """Whether bytes have begun to come, so that there is something to follow."""
        return self.receiving.is_set() and not self.outcome.done()

    def finish(self, outcome: DownloadOutcome) -> None:
        """Tell the verdict, also to those who wait for bytes that will not come."""
        self.outcome.set_result(outcome)
        self.receiving.set()

    def mark_name_pending(self) -> None:
        """Tell the machine that these bytes are about to be named, where it is by name alone that they can be found."""
        if self.expects_name and (self.step.expected is None or not self.step.expected.is_strong):
            self._name_pending = self._services.mark_name_pending(self.step)

    def clear_name_pending(self) -> None:
        """Follow the naming, or what was to be named and has failed."""
        if self._name_pending is not None:
            self._name_pending.release()
            self._name_pending = None

    async def wait_outcome(self, deadline: float) -> DownloadOutcome | None:
        """Wait for the verdict, until `deadline` (monotonic seconds); None: not in time."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(self._left(deadline)):
                await asyncio.wait({self.outcome})
        return self.outcome.result() if self.outcome.done() else None

    async def wait_started(self, deadline: float) -> DownloadOutcome | None:
        """Wait until bytes come or the flight has ended, until `deadline`; return what it has come to, if it has ended."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(self._left(deadline)):
                while not self.receiving.is_set():  # it may be cleared again before we wake
                    await self.receiving.wait()
        return self.outcome.result() if self.outcome.done() else None

    def follow(self) -> exchange.ResponseBody | None:
        """Return a reader of the bytes as they arrive, in whichever process; None when the flight has landed in the store: plan again."""
        if self.outcome.done() and not self.is_in_memory(self.outcome.result()):
            return None
        body = self.reader()
        if body is None:
            return None
        self.is_followed = True
        return FlightReader(self, body, self._clock)

    def reader(self) -> Body | None:
        """Return a reader of the draft as it is written now."""
        return self.draft.follow() if self.draft is not None else self._services.drafts.follow(self.step.key)

    def whole(self) -> Body | None:
        """Return the promised bytes, if the store has them by now."""
        digest = self.step.expected.digests.get("sha256") if self.step.expected is not None else None
        return self._services.blobs.peek(digest) if digest else None

    def timeout_refusal(self) -> Refusal:
        """Say that the client's patience ends before the answer came, and when to ask again."""
        wait = self.download.expected_wait() if self.download is not None else refusals.RETRY_SOON
        return refusals.unavailable(
            whole=self.step.whole,
            status=503,
            reason="Upstream is cooling down, ask again later"
            if wait > refusals.RETRY_SOON
            else "Upstream is slow, ask again soon",
            why=f"{self.step.path} of {self.step.space} is still being fetched; the download goes on.",
            hint="Ask again: what has arrived by then is not fetched twice.",
            retry_after=wait,
        )

    @staticmethod
    def is_in_memory(outcome: DownloadOutcome) -> bool:
        return isinstance(outcome, Stored) and outcome.is_in_memory

    def _left(self, deadline: float) -> float | None:
        return None if deadline == float("inf") else max(0.0, deadline - self._clock.monotonic())


class FlightReader:
    """A reader that outlives the process which wrote its draft: when that one dies, our own flight takes over and the reader goes on.

    The bytes before the break are the same file, so nothing that was sent is sent again (`core.exchange.Body`).
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
        """Find the draft's new writer, or the whole file if it has landed meanwhile; raises DraftOrphaned when nobody could go on."""
        for _ in range(TAKE_OVER_LOOKS):
            await self._clock.sleep(TAKE_OVER_SECONDS)
            is_over = self._flight.outcome.done()
            body = self._flight.reader() or self._flight.whole()
            if body is not None:
                self._body.close()
                self._body = body
                return
            if is_over:
                break
        raise DraftOrphaned("the process that fetched this file died, and nobody could go on")


class Downloads:
    """The flights of this process, by what they are to answer. Two that want the same bytes share one draft, whoever writes it."""

    def __init__(self, *, services: DownloadServices, clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[DownloadOutcome]] = set()
        self._afterwards: set[asyncio.Task[None]] = set()
        self._verdicts: dict[str, tuple[float, Refusal]] = {}
        self._in_memory: dict[str, tuple[float, Flight]] = {}

    def join(
        self, step: Fetch, context: RequestContext, judge: Judge | None, *, validators: Meta | None = None
    ) -> tuple[Flight, bool]:
        """Return the flight for `step`, and whether it was under way already. `judge` decides about a root; `validators` make the request conditional."""
        flight = self._flights.get(step.question) or self._kept_in_memory(step.question)
        if flight is not None:
            return flight, True
        flight = self._flights[step.question] = Flight(step, context, self._services, self._clock)
        task = asyncio.create_task(self._run(flight, judge, validators or Meta()))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, flight))
        return flight, False

    def expected_wait(self, step: Fetch) -> float:
        """Return the seconds until the first of the sources will probably be asked; 0 when there is none."""
        return min(map(self._services.recent.expected_wait, step.sources), default=0.0)

    def run_detached(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what follows an outcome even if the client who asked for it has left."""
        task = asyncio.create_task(_or_log(work))
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    async def close(self) -> None:
        """Stop every flight; what has arrived is kept for a later resume, what has landed is named."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._afterwards, return_exceptions=True)

    async def _run(self, flight: Flight, judge: Judge | None, validators: Meta) -> DownloadOutcome:
        """Fly, unless it is known already what will come of it. Whatever goes wrong is an outcome too."""
        step = flight.step
        try:
            refusal = self._verdict(step) or await self._services.recent.known_absence(step)
            if refusal is not None:
                return refusal
            outcome = await self._fly(flight, judge, validators)
        except StorageFailure as failure:
            log.exception("a download failed in our own store")
            return refusals.broken_store(whole=step.whole, why=str(failure))
        except SnapproxyError as error:
            return refusals.failed(step, error)
        except Exception:
            log.exception("a download failed through a fault of ours")
            return refusals.own_fault(step)
        self._remember(step, outcome)
        return outcome

    def _ended(self, flight: Flight, task: asyncio.Task[DownloadOutcome]) -> None:
        """Tell the outcome, also of a flight that was stopped before it had begun."""
        self._tasks.discard(task)
        self._flights.pop(flight.step.question)
        flight.finish(refusals.stopped(flight.step) if task.cancelled() else task.result())
        self._keep_in_memory(flight)

    def _keep_in_memory(self, flight: Flight) -> None:
        """Let who asks next share what the full disk did not take: a root is asked for once for itself, and again for each of its indexes."""
        outcome, question = flight.outcome.result(), flight.step.question
        if isinstance(outcome, Stored) and outcome.is_in_memory and outcome.size <= MAX_KEPT_IN_MEMORY_BYTES:
            while len(self._in_memory) >= MAX_KEPT_IN_MEMORY:
                self._in_memory.pop(next(iter(self._in_memory)))
            self._in_memory[question] = (self._clock.monotonic() + KEPT_IN_MEMORY_SECONDS, flight)

    def _kept_in_memory(self, question: str) -> Flight | None:
        until, flight = self._in_memory.get(question, (0.0, None))
        if flight is not None and until < self._clock.monotonic():
            del self._in_memory[question]
            return None
        return flight

    def _verdict(self, step: Fetch) -> Refusal | None:
        until, refusal = self._verdicts.get(step.question, (0.0, None))
        return refusal if self._clock.monotonic() < until else None

    def _remember(self, step: Fetch, outcome: DownloadOutcome) -> None:
        """Remember a bad verdict, but no longer than its client was told to stay away."""
        now = self._clock.monotonic()
        self._verdicts = {key: verdict for key, verdict in self._verdicts.items() if now < verdict[0]}
        is_absence = outcome == refusals.absent(step)  # of this snapshot alone, and remembered as such
        if isinstance(outcome, Refusal) and outcome.status in (424, 502) and not is_absence:
            told = float(outcome.headers.get("Retry-After", VERDICT_SECONDS))
            self._verdicts[step.question] = (now + min(told, VERDICT_SECONDS), outcome)

    async def _fly(self, flight: Flight, judge: Judge | None, validators: Meta) -> DownloadOutcome:
        """Write the draft if nobody else on the machine does; else follow it, and take it over if its writer dies."""
        failures = 0
        while True:
            writer = self._services.begin(flight.step)
            if isinstance(writer, Draft):
                if await self._has_come(flight, writer):  # another process has ended between our plan and our turn
                    return StoredElsewhere()
                flight.draft = writer
                flight.download = Attempt(self._services, flight, writer, judge, validators)
                return await flight.download.run()
            try:
                return await self._watch(flight, writer)
            except DraftOrphaned:
                log.info("taking over the download of a process that died: %s", flight.step.key)
            except DraftFailed as failed:
                failures += 1
                if failures < MAX_FAILURES and (flight.step.whole or not flight.is_receiving):
                    await self._clock.sleep(TAKE_OVER_SECONDS)
                    continue  # its writer may be trying another source: join that, or try our own
                return refusals.unavailable(
                    whole=flight.step.whole, status=502, reason="Another process could not fetch it", why=failed.reason
                )
            finally:
                writer.close()

    async def _has_come(self, flight: Flight, draft: Draft) -> bool:
        """Whether there is nothing left to bring. Then the draft is given up; when we are stopped before that is known, it is kept."""
        is_stored = None
        try:
            is_stored = await self._services.is_stored(flight.step, flight.context.archive.name)
        finally:
            if is_stored is not False:
                await asyncio.shield(draft.abandon("it is in the store already", keep=is_stored is None))
        return is_stored

    async def _watch(self, flight: Flight, body: Body) -> DownloadOutcome:
        """Follow what another writer brings, until it is in the store: its bytes can all be read some time before."""
        offset = 0
        while body.size is None or offset < body.size:
            offset = await body.wait(offset)
            flight.receiving.set()
        flight.receiving.clear()
        await body.wait(offset)
        return StoredElsewhere()


async def _or_log(work: Coroutine[Any, Any, None]) -> None:
    """Do work that nobody waits for; what our own store makes of it is for the log."""
    try:
        await work
    except StorageFailure as failure:
        log.warning("what followed a download failed: %s", failure)
