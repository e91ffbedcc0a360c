"""Watch a running fetch: its progress so far, the state of its upstreams, and the estimate of the remaining files.

watch = FetchWatch(planned, limits=app.limiter, requests=lambda: app.tally.upstream_requests, clock=app.clock)
print(estimate_line(watch.estimate(), size=decimal))
outcomes = await fetcher.fetch(planned, watch.state)  # meanwhile `watch.line(...)` every few seconds
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from snapproxy.base.clock import Clock
from snapproxy.core.rate_limit import RatePolicy, RateState
from snapproxy.prefetch.estimate import Estimate, PlannedFile, UpstreamOutlook, estimate
from snapproxy.prefetch.model import WantedFile
from snapproxy.prefetch.progress import FetchState, progress_line


class LimitsOfUpstreams(Protocol):
    """The limits and states of upstreams; `upstream.rate_limit.RateLimiter` has them."""

    def policy(self, upstream: str) -> RatePolicy: ...

    def state(self, upstream: str) -> RateState: ...


class FetchWatch:
    """One fetch of planned files. `state` collects its progress."""

    def __init__(
        self,
        planned: Mapping[WantedFile, PlannedFile],
        *,
        limits: LimitsOfUpstreams,
        requests: Callable[[], Mapping[str, int]],
        clock: Clock,
    ) -> None:
        """Begin to watch.

        `requests` returns the number of requests that this process has sent to each upstream so far.
        """
        self.state = FetchState(planned, clock.monotonic)
        self._planned = planned
        self._limits = limits
        self._requests = requests
        self._before = dict(requests())
        self._clock = clock
        self._names = {name for file in planned.values() for name in (file.mirror, file.past) if name}

    def estimate(self) -> Estimate:
        """Return the estimate of the files that are not finished."""
        return self._estimate(self._upstreams())

    def line(self, *, size: Callable[[float], str], hour: Callable[[float], str]) -> str:
        """Return the progress as a line; the arguments are those of `progress_line`."""
        upstreams = self._upstreams()
        rest = self._estimate(upstreams)
        return progress_line(self.state, rest, upstreams, self._clock.time(), size=size, hour=hour)

    def _estimate(self, upstreams: Mapping[str, UpstreamOutlook]) -> Estimate:
        sent = {name: count - self._before.get(name, 0) for name, count in self._requests().items()}
        left = (self._planned[file] for file in self.state.left)
        return estimate(left, upstreams, self._clock.time(), self.state.observed(sent))

    def _upstreams(self) -> dict[str, UpstreamOutlook]:
        return {name: UpstreamOutlook(self._limits.policy(name), self._limits.state(name)) for name in self._names}
