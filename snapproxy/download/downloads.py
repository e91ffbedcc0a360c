"""The downloads of this process: start a flight for a file, or join the one in progress (rule 4).

The key of a flight is the file's digest if an index lists one, otherwise its name. Exactly one process of the machine
writes its draft; the others follow the draft's file. `attempt` downloads the bytes; the callers decide what to fetch,
and use the result.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Coroutine
from typing import Any

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.plan_model import Fetch
from snapproxy.download.attempt import Attempt
from snapproxy.download.flight import TAKE_OVER_SECONDS, Flight
from snapproxy.download.incoming import DraftTakenError
from snapproxy.download.outcome import DownloadOutcome, StoredElsewhere
from snapproxy.download.services import DownloadServices
from snapproxy.download.unstored import UnstoredDownloads
from snapproxy.errors import SnapproxyError
from snapproxy.trust.roots import RootCheck
from snapproxy_storage import Body, DraftFailed, DraftOrphaned, Meta, StorageFailure

log = logging.getLogger(__name__)

FAILURE_SECONDS = 15.0
"""How long a failed verification is recorded: a client whose connection was aborted gets the cause on its retry."""

MAX_FAILURES = 3
"""Maximum number of new starts of a draft that another process abandoned, as long as none of its bytes were sent."""


class Downloads:
    """The flights of this process, by `Fetch.question`. Two questions with the same key share one draft."""

    def __init__(self, *, services: DownloadServices, clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self._flights: dict[str, Flight] = {}
        self._leading: dict[str, Flight] = {}
        """By key of the draft: the flight of this process that writes it or is the first in line to do so."""
        self._tasks: dict[Flight, asyncio.Task[DownloadOutcome]] = {}
        self._detached: set[asyncio.Task[None]] = set()
        self._failures: dict[str, tuple[float, Refusal]] = {}
        self._unstored = UnstoredDownloads(clock)

    def join(
        self, step: Fetch, context: RequestContext, check: RootCheck | None, *, validators: Meta | None = None
    ) -> tuple[Flight, bool]:
        """Return the flight for `step`, and whether it was in progress already.

        `check` verifies a root, None for other files; `validators` make the request conditional.
        """
        flight = self._flights.get(step.question) or self._unstored.get(step.question)
        if flight is not None and flight.is_joinable:
            return flight, True
        flight = self._flights[step.question] = Flight(step, context, self._services, self._clock, self._stop)
        task = self._tasks[flight] = asyncio.create_task(self._run(flight, check, validators or Meta()))
        task.add_done_callback(functools.partial(self._finished, flight))
        return flight, False

    def flights(self) -> list[Flight]:
        """Return the flights in progress."""
        return [flight for flight in self._tasks if not flight.outcome.done()]

    def expected_wait(self, step: Fetch) -> float:
        """Return the seconds until the first request to one of the sources will probably be sent; 0 without sources."""
        return min(map(self._services.recent.expected_wait, step.sources), default=0.0)

    async def absent_since(self, step: Fetch) -> Instant | None:
        """Return when every source answered that it lacks the file, None if no such recent answer is recorded."""
        return await self._services.recent.absent_since(step)

    async def forget_absence(self, step: Fetch) -> None:
        """Request the file again, although a recent download found it absent."""
        await self._services.recent.forget_absence(step)

    def forget_failure(self, step: Fetch) -> None:
        """Request the file again, although a recent verification of it has failed."""
        self._failures.pop(step.question, None)

    def run_detached(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the work that follows a download even if the client that requested it has disconnected."""
        task = asyncio.create_task(_log_storage_failure(work))
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)

    @property
    def running(self) -> int:
        """The number of flights, those included that wait for their upstream."""
        return len(self._tasks)

    async def ended(self) -> None:
        """Wait until no flight is left: each has ended, or was stopped because it has no reader."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def close(self) -> None:
        """Stop every flight that still receives, and complete the work that follows the other ones.

        Received bytes are kept for a later resume. A client may have all bytes of a file before its name is recorded.
        """
        for flight, task in self._tasks.items():
            if not flight.is_storing:
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*self._detached, return_exceptions=True)
        self._unstored.close()

    def _stop(self, flight: Flight) -> None:
        """Stop a flight without readers. A request that comes now starts another one, which continues its bytes."""
        if not flight.is_stopped:
            flight.is_stopped = True
            self._tasks[flight].cancel()

    async def _run(self, flight: Flight, check: RootCheck | None, validators: Meta) -> DownloadOutcome:
        """Download the file, unless a recent failure answers for it. Every error becomes a refusal."""
        step = flight.step
        try:
            refusal = self._recent_failure(step) or await self._services.recent.known_absence(step)
            if refusal is not None:
                return refusal
            outcome = await self._download(flight, check, validators)
        except StorageFailure as failure:
            return refusals.of_store(failure, whole=step.whole)
        except SnapproxyError as error:
            return refusals.failed(step, error)
        except Exception:
            log.exception("A download failed because of an internal error")
            return refusals.internal_error(step)
        self._remember_failure(flight, outcome)
        return outcome

    def _finished(self, flight: Flight, task: asyncio.Task[DownloadOutcome]) -> None:
        """Set the outcome, even of a flight that was cancelled before it began."""
        del self._tasks[flight]
        for flights, key in ((self._flights, flight.step.question), (self._leading, flight.step.key)):
            if flights.get(key) is flight:
                del flights[key]
        stopped = refusals.unread if flight.is_stopped else refusals.stopped
        flight.finish(stopped(flight.step) if task.cancelled() else task.result())
        self._unstored.keep(flight)

    # --- failed verifications -----------------------------------------------------------------------------------------

    def _recent_failure(self, step: Fetch) -> Refusal | None:
        until, refusal = self._failures.get(step.question, (0.0, None))
        return refusal if self._clock.monotonic() < until else None

    def _remember_failure(self, flight: Flight, outcome: DownloadOutcome) -> None:
        """Record a failed verification, but no longer than the Retry-After that the client was sent.

        If a source is left, nothing is recorded: the client's retry starts an attempt at that source.
        """
        if not flight.is_exhausted:
            return
        step = flight.step
        now = self._clock.monotonic()
        self._failures = {question: failure for question, failure in self._failures.items() if now < failure[0]}
        is_absence = outcome == refusals.absent(step)  # `RecentOutcomes` records those
        if isinstance(outcome, Refusal) and outcome.status in (424, 502) and not is_absence:
            retry_after = float(outcome.headers.get("Retry-After", FAILURE_SECONDS))
            self._failures[step.question] = (now + min(retry_after, FAILURE_SECONDS), outcome)

    # --- one writer on the machine ------------------------------------------------------------------------------------

    async def _download(self, flight: Flight, check: RootCheck | None, validators: Meta) -> DownloadOutcome:
        """Write the draft if no other flight or process does, otherwise follow it; take it over if its writer dies."""
        failures, is_orphaned = 0, False
        while True:
            await self._wait_for_leader(flight)
            body = self._services.drafts.follow(flight.step.key)
            if body is None:
                if await self._services.is_stored(flight.step, flight.context.archive.name):
                    return StoredElsewhere()  # it was stored since the plan was made
                if is_orphaned:
                    log.info("Taking over the download of a process that died: %s", flight.step.key)
                try:
                    return await Attempt(self._services, flight, check, validators).run()
                except DraftTakenError:  # another process has begun it in the meantime
                    continue
            try:
                return await self._follow(flight, body)
            except DraftOrphaned:
                is_orphaned = True  # its process died, or has stored the file in this moment
            except DraftFailed as failed:
                failures += 1
                if failures < MAX_FAILURES and (flight.step.whole or not flight.is_receiving):
                    await self._clock.sleep(TAKE_OVER_SECONDS)
                    continue  # its writer may be trying another source: join that, or try our own
                return refusals.failed_elsewhere(flight.step, failed.reason)
            finally:
                body.close()

    async def _wait_for_leader(self, flight: Flight) -> None:
        """Wait while another flight of this process is the first in line for the same draft and has no bytes yet."""
        key = flight.step.key
        while (leader := self._leading.setdefault(key, flight)) is not flight and not (
            leader.is_joinable and leader.receiving.is_set()
        ):
            if leader.is_joinable:
                with leader.reading(flight.context):
                    await leader.receiving.wait()
            else:
                await leader.ended()

    async def _follow(self, flight: Flight, body: Body) -> DownloadOutcome:
        """Follow the draft of another writer until it is stored; all its bytes can be read some time before that."""
        offset = 0
        while body.size is None or offset < body.size:
            offset = await body.wait(offset)
            flight.receiving.set()
        flight.receiving.clear()
        await body.wait(offset)
        return StoredElsewhere()


async def _log_storage_failure(work: Coroutine[Any, Any, None]) -> None:
    """Await the work; log a failure of the store, since no caller waits for it."""
    try:
        await work
    except StorageFailure as failure:
        log.warning("The work after a download failed: %s", failure)
