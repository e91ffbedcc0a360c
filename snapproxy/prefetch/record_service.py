"""Ask the services that the configuration names for the history of packages: metasnap and Launchpad."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.base.stats import Stats
from snapproxy.core.model import Refusal
from snapproxy.core.rate_limit import BACKGROUND
from snapproxy.core.upstream_answer import (
    Absent,
    BodyFollows,
    Broken,
    CoolingDown,
    Forbidden,
    QueueFull,
    Redirect,
    Throttled,
    UpstreamAnswer,
    UpstreamRequest,
)
from snapproxy.prefetch.records import LARGEST_ANSWER
from snapproxy.upstream.client import UpstreamClient
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.response import BodyBrokenError

ATTEMPTS = 3
"""Maximum number of requests for one answer while the service throttles (429, 503)."""

LONGEST_WAIT = 120.0
"""Maximum seconds of a cool-down that is waited for: other records have the answer too."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A 404, with the beginning of its body."""

    body: bytes


class RecordService:
    """A service at the address `base`. Requests are sent in the background, to its own host only."""

    def __init__(self, base: str, upstream: UpstreamClient, tally: Stats) -> None:
        self.base = base
        self._upstream = upstream
        self._tally = tally
        self._policy = EgressPolicy((base,))

    async def ask(self, request: UpstreamRequest) -> bytes | Missing | Refusal:
        """Return the whole answer. A throttled request is repeated at the pace of the rate limit."""
        status = 0
        for _ in range(ATTEMPTS):
            answer = await self._ask(request)
            if not isinstance(answer, Throttled):
                return answer
            status = answer.status
        return self._refusal(f"the service refuses further requests ({status})")

    async def _ask(self, request: UpstreamRequest) -> bytes | Missing | Throttled | Refusal:
        async with self._upstream.fetch(
            request,
            self._policy,
            demand=BACKGROUND,
            max_wait=LONGEST_WAIT,
            max_cool_down=LONGEST_WAIT,
            stop_at=lambda _url: bool(request.form),  # a form is sent to the configured address only
        ) as response:
            self._tally.asked(*response.hops, response.url)
            answer = response.answer
            if isinstance(answer, BodyFollows):
                try:
                    return await response.read(LARGEST_ANSWER)
                except BodyBrokenError as broken:
                    return self._refusal(broken.fault.value)
            if isinstance(answer, Absent):
                return Missing(response.unused)
            return answer if isinstance(answer, Throttled) else self._refusal(_cause(answer))

    def _refusal(self, cause: str) -> Refusal:
        return Refusal(502, f"{self.base} gave no usable answer", f"The request failed: {cause}.")


def _cause(answer: UpstreamAnswer) -> str:
    match answer:
        case Broken():
            return answer.reason
        case CoolingDown():
            return f"{answer.upstream} {answer.cause_text}: no request is sent for {max(1, round(answer.wait))} s"
        case QueueFull(upstream, queued):
            return f"{queued} requests wait for {upstream}, the maximum"
        case Redirect():
            return "the service answers with a redirect, and the packages are sent to the configured address only"
        case Forbidden(status):
            return f"the service refuses access ({status})"
        case _:
            return "its answer is not the one that was requested"
