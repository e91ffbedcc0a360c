"""Count what this process does into the counters that all processes share."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.base import metrics
from snapproxy.core.upstream_answer import (
    Absent,
    BodyFollows,
    CoolingDown,
    Forbidden,
    NoSuchRange,
    NotModified,
    QueueFull,
    Redirect,
    StartOver,
    Throttled,
    UpstreamAnswer,
)
from snapproxy_storage import CounterCell, Counters, MemoryCounters

MAX_LABEL_VALUES = 32
"""Maximum number of hosts, and of archives, that are counted one by one; the configuration usually names fewer."""

NONE = "none"
"""The label of requests that concern no archive."""

WAIT_SECONDS = 0.01
"""A request that needs longer for its permit has waited."""

_OUTCOMES: tuple[tuple[tuple[type, ...], str], ...] = (
    ((BodyFollows, StartOver), "body"),
    ((NotModified,), "unchanged"),
    ((Absent,), "absent"),
    ((NoSuchRange,), "no_range"),
    ((Redirect,), "redirect"),
    ((Throttled,), "throttled"),
    ((Forbidden,), "forbidden"),
)


@dataclass(frozen=True, slots=True)
class SharedCells:
    """The counters of files sent and of their bytes, for one archive and outcome."""

    files: CounterCell
    sent: CounterCell


class SharedCounts:
    """The counts of one process. Without `counters` they are kept in memory only."""

    def __init__(self, counters: Counters | None = None) -> None:
        self.counters: Counters = MemoryCounters() if counters is None else counters
        self._hosts: set[str] = set()
        self._archives: set[str] = set()

    # --- answers to clients ------------------------------------------------------------------------------------------

    def cells(self, archive: str, cache: str) -> SharedCells:
        """Return the counters of an archive and an outcome (HIT, MISS, JOINED), for counts without a call."""
        values = self._archive(archive), cache.lower()
        requests, sent = metrics.REQUESTS.key(*values), metrics.SENT_BYTES.key(*values)
        return SharedCells(self.counters.cell(requests), self.counters.cell(sent))

    def unverified(self, archive: str) -> None:
        """Count a file that is sent although nothing verified it."""
        self.counters.add(metrics.UNVERIFIED.key(self._archive(archive)))

    def refused(self, status: int, archive: str) -> None:
        """Count a refusal; `archive` is '' if the request concerns none."""
        self.counters.add(metrics.REFUSALS.key(self._archive(archive), str(status)))

    def unpinned(self, count: int) -> None:
        """Count a request to a host of the setting `pass`, and its bytes."""
        self.counters.add(metrics.UNPINNED.key())
        self.counters.add(metrics.UNPINNED_BYTES.key(), count)

    # --- upstreams ---------------------------------------------------------------------------------------------------

    def waited(self, host: str, seconds: float) -> None:
        """Count the wait for a permit."""
        if seconds >= WAIT_SECONDS:
            self.counters.add(metrics.UPSTREAM_WAITS.key(self._host(host)))
            self.counters.add(metrics.UPSTREAM_WAIT_SECONDS.key(self._host(host)), _micro(seconds))

    def answered(self, host: str, answer: UpstreamAnswer, seconds: float) -> None:
        """Count a request that was sent, the class of its answer, and the seconds until its head or failure."""
        label = self._host(host)
        outcome = next((word for types, word in _OUTCOMES if isinstance(answer, types)), "failed")
        self.counters.add(metrics.UPSTREAM_REQUESTS.key(label, outcome))
        if isinstance(answer, Throttled):
            self.counters.add(metrics.UPSTREAM_THROTTLED.key(label, str(answer.status)))
        bucket = next((str(bound) for bound in metrics.BUCKETS if seconds <= bound), "+Inf")
        self.counters.add(metrics.UPSTREAM_LATENCY.key(label, bucket))
        self.counters.add(metrics.UPSTREAM_LATENCY.key(label, "sum"), _micro(seconds))

    def not_sent(self, host: str, answer: CoolingDown | QueueFull) -> None:
        """Count a request that got no permit."""
        reason = "cool_down" if isinstance(answer, CoolingDown) else "queue_full"
        self.counters.add(metrics.UPSTREAM_NOT_SENT.key(self._host(host), reason))

    def received(self, host: str, count: int) -> None:
        """Count bytes of a body."""
        self.counters.add(metrics.UPSTREAM_BYTES.key(self._host(host)), count)

    def failed_verification(self, archive: str) -> None:
        """Count a download whose bytes or signature are wrong."""
        self.counters.add(metrics.VERIFICATION_FAILURES.key(self._archive(archive)))

    # --- values of labels --------------------------------------------------------------------------------------------

    def _host(self, host: str) -> str:
        return _bounded(host, self._hosts)

    def _archive(self, archive: str) -> str:
        return _bounded(archive, self._archives) if archive else NONE


def _bounded(value: str, known: set[str]) -> str:
    """Return the value as a label; `metrics.OTHERS` beyond the limit, and for one that would break the key."""
    if value in known:
        return value
    if len(known) >= MAX_LABEL_VALUES or " " in value:
        return metrics.OTHERS
    known.add(value)
    return value


def _micro(seconds: float) -> int:
    return max(0, int(seconds * metrics.MICROSECONDS))
