"""The outcomes of a download, and a record of recent failures: absences and sources with wrong bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from yarl import URL

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.core.clock import is_fresh
from snapproxy.core.model import Instant, Proof, Refusal, Role
from snapproxy.core.plan_model import Fetch, Serve, Source
from snapproxy.core.sources import sources_key
from snapproxy.core.upstream_answer import Absent, Broken, CoolingDown, Fault, Forbidden, QueueFull, Throttled
from snapproxy.upstream.egress import authority
from snapproxy.upstream.rate_limit import RateLimiter
from snapproxy_storage import Expiring

ABSENT_SECONDS = 600
"""How long a 404 that no verified root confirms is recorded: backends of the snapshot service disagree."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes are verified and stored.

    `is_in_memory`: the disk is full, so the bytes exist only in memory, as long as their flight has a reader.
    """

    digest: str
    size: int
    proof: Proof
    etag: str = ""
    last_modified: str = ""
    is_in_memory: bool = False

    def serving(self, step: Fetch) -> Serve:
        """Return the plan that serves the bytes. The proof of a root is the one that its check returned."""
        proof = self.proof if step.role is Role.ROOT else step.proof
        return Serve(
            step.space,
            step.path,
            self.digest,
            self.size,
            proof,
            step.role,
            step.resolved,
            name_it=step.name_it,
            also=step.also,
        )


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Upstream reports that the stored file is still current (304)."""


@dataclass(frozen=True, slots=True)
class StoredElsewhere:
    """Another process has downloaded and stored the bytes: plan again."""


DownloadOutcome = Stored | Unchanged | StoredElsewhere | Refusal


Failure = Absent | Forbidden | Throttled | CoolingDown | QueueFull | Broken | Refusal


_MOST_INFORMATIVE_FIRST = (Refusal, Throttled, CoolingDown, QueueFull, Broken, Forbidden, Absent)
"""The kinds of failure in the order in which they are reported to a client."""


class RecentOutcomes:
    """Recent failures, kept in the store for all processes. Each entry expires after ABSENT_SECONDS."""

    def __init__(self, *, expiring: Expiring, limiter: RateLimiter, clock: Clock) -> None:
        self._expiring = expiring
        self._limiter = limiter
        self._clock = clock

    def expected_wait(self, source: Source) -> float:
        """Return the seconds until a request to `source` will probably be sent."""
        return self._limiter.estimate(_upstream(source))

    def cooling_down(self, source: Source, wait: float) -> CoolingDown:
        """Return the answer for a source that is skipped, because a request would be sent after `wait` seconds only."""
        upstream = _upstream(source)
        return self._limiter.cool_down(upstream) or CoolingDown(upstream, wait)

    def unfinished(self, step: Fetch, source: Source | None) -> Refusal:
        """Return the refusal for a client whose timeout ends while `source` has not sent the file (None: unknown)."""
        if source is None:
            return refusals.in_progress(step, "")
        upstream = _upstream(source)
        cooling = self._limiter.cool_down(upstream)
        if cooling is not None:
            return refusals.cooling_down(step, cooling, self._clock.now())
        if queued := self._limiter.queued(upstream):
            return refusals.queued(step, upstream, queued, self.expected_wait(source))
        return refusals.in_progress(step, upstream)

    async def known_absence(self, step: Fetch) -> Refusal | None:
        """Return the 404 of a recent download of the same file, if one is recorded."""
        return refusals.absent(step) if await self._is_recorded(_absent_key(step)) else None

    async def absent_since(self, step: Fetch) -> Instant | None:
        """Return the instant of a recorded 404, None without one."""
        until = await self._until(_absent_key(step))
        return None if until is None else until - ABSENT_SECONDS

    async def forget_absence(self, step: Fetch) -> None:
        """Remove the record of a 404."""
        if await self._is_recorded(_absent_key(step)):
            await self._expiring.put(_absent_key(step), 0, seconds=1)

    async def record_wrong_bytes(self, step: Fetch, source: Source) -> None:
        """Record that a source sent other bytes than expected, so that the next flight skips it."""
        if not source.last_resort:
            await self._record(_wrong_bytes_key(step, source))

    async def usable_sources(self, step: Fetch) -> list[Source]:
        """Return the sources of `step` that have not recently sent wrong bytes; all of them if every one has."""
        good = [source for source in step.sources if not await self._is_recorded(_wrong_bytes_key(step, source))]
        return good or list(step.sources)

    async def refusal(self, step: Fetch, failures: list[tuple[Source, Failure]]) -> Refusal:
        """Return the refusal for a file that no source delivered. It describes the most informative failure."""
        source, failure = min(failures, key=lambda each: _MOST_INFORMATIVE_FIRST.index(type(each[1])))
        if refusals.is_observed_index(step) and _has_other_bytes(failure):
            return refusals.absent(step)
        match failure:
            case Refusal():
                return failure
            case Absent():
                await self._record(_absent_key(step))
                return refusals.absent(step)
            case Throttled():
                wait = max(failure.retry_after or 0.0, self.expected_wait(source))
                cooling = CoolingDown(_upstream(source), wait, str(failure.status))
                return refusals.cooling_down(step, cooling, self._clock.now())
            case CoolingDown():
                return refusals.cooling_down(step, failure, self._clock.now())
            case QueueFull():
                return refusals.queue_full(step, failure)
            case Forbidden():
                return refusals.forbidden(step, failure)
            case Broken():
                return refusals.broken(step, _upstream(source), failure, self.expected_wait(source))
            case _:
                assert_never(failure)

    async def _record(self, key: str) -> None:
        """Write an entry. It expires by the clock of this process; the store's expiry only removes it."""
        await self._expiring.put(key, self._clock.now() + ABSENT_SECONDS, seconds=ABSENT_SECONDS)

    async def _is_recorded(self, key: str) -> bool:
        return await self._until(key) is not None

    async def _until(self, key: str) -> Instant | None:
        """Return when an entry expires, None if there is none."""
        until = await self._expiring.get(key)
        if not isinstance(until, int) or not is_fresh(until, self._clock.now(), ABSENT_SECONDS):
            return None
        return until


def _has_other_bytes(failure: Failure) -> bool:
    """Return whether a source has other bytes than the index lists; such a file is refused after its download."""
    return isinstance(failure, Refusal) or (isinstance(failure, Broken) and failure.fault is Fault.WRONG_SIZE)


def _absent_key(step: Fetch) -> str:
    """Return the key of an absence. It names the sources that were asked: one that is added later is asked too."""
    return f"absent/{step.question} {sources_key(source.url for source in step.sources)}"


def _upstream(source: Source) -> str:
    return authority(URL(source.url, encoded=True))


def _wrong_bytes_key(step: Fetch, source: Source) -> str:
    return f"wrong/{step.key}/{source.url}"
