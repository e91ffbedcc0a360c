"""What flights can come to, and what is remembered of it: absences, wrong sources, and the refusal that tells why nobody had a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from yarl import URL

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.core.model import Proof, Refusal, Role
from snapproxy.core.plan_model import Fetch, Serve, Source
from snapproxy.core.upstream_answer import Absent, Broken, Forbidden, Throttled
from snapproxy.upstream.egress import authority
from snapproxy.upstream.rate_limit import RateLimiter
from snapproxy_storage import Expiring

ABSENT_SECONDS = 600
"""How long a 404 that no verified root confirms is believed: backends of the snapshot service disagree."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes are in the store, verified. `is_in_memory`: the disk is full, so that they live only as long as their flight is followed."""

    digest: str
    size: int
    proof: Proof
    etag: str = ""
    last_modified: str = ""
    is_in_memory: bool = False

    def serving(self, step: Fetch) -> Serve:
        """Return what is left to do of the step. How far a root can be believed, its judge has said."""
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
    """Upstream says that what we hold is still the file."""


@dataclass(frozen=True, slots=True)
class StoredElsewhere:
    """Another process brought the bytes: plan again."""


DownloadOutcome = Stored | Unchanged | StoredElsewhere | Refusal


Failure = Absent | Forbidden | Throttled | Broken | Refusal


_TELLING = (Refusal, Throttled, Broken, Forbidden, Absent)
"""The kinds of failure, by how much each tells a client."""


class RecentOutcomes:
    """What recent flights came to. All of it expires; none of it is believed about a settled answer for long."""

    def __init__(self, *, expiring: Expiring, limiter: RateLimiter, clock: Clock) -> None:
        self._expiring = expiring
        self._limiter = limiter
        self._clock = clock

    def expected_wait(self, source: Source) -> float:
        """Return the seconds until `source` will probably be asked."""
        return self._limiter.estimate(authority(URL(source.url, encoded=True)))

    async def known_absence(self, step: Fetch) -> Refusal | None:
        """Return the 404 of a moment ago."""
        return refusals.absent(step) if await self._is_noted(f"absent/{step.question}") else None

    async def remember_wrong(self, step: Fetch, source: Source) -> None:
        """Remember that a source has other bytes than were promised, so that the next flight goes past it."""
        if not source.last_resort:
            await self._note(_wrong(step, source))

    async def worth_asking(self, step: Fetch) -> list[Source]:
        """Return the sources of `step` that had no other bytes a moment ago; all of them when every one had."""
        good = [source for source in step.sources if not await self._is_noted(_wrong(step, source))]
        return good or list(step.sources)

    async def refusal(self, step: Fetch, failures: list[Failure]) -> Refusal:
        """Say why no source had the file: in the words of the failure that tells most."""
        worst = min(failures, key=lambda failure: _TELLING.index(type(failure)), default=Absent(404))
        match worst:
            case Refusal():
                return worst
            case Absent():
                await self._note(f"absent/{step.question}")
                return refusals.absent(step)
            case Throttled():
                waits = (self.expected_wait(source) for source in step.sources if not source.is_blob_source)
                wait = max(worst.retry_after or 0.0, *waits)
                return refusals.throttled(step, worst.status, wait)
            case Forbidden():
                return refusals.forbidden(step, worst.status)
            case Broken():
                return refusals.broken(step, worst)
            case _:
                assert_never(worst)

    async def _note(self, key: str) -> None:
        """Keep a note for as long as a backend may be mistaken. When that ends is the clock's to say, not the store's."""
        await self._expiring.put(key, self._clock.now() + ABSENT_SECONDS, seconds=ABSENT_SECONDS)

    async def _is_noted(self, key: str) -> bool:
        until = await self._expiring.get(key)
        return isinstance(until, int) and self._clock.now() < until


def _wrong(step: Fetch, source: Source) -> str:
    return f"wrong/{step.key}/{source.url}"
