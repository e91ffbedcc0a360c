"""The state of a running service, as the pages show it. `wiring` connects these values to the parts that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from snapproxy.core.model import Instant
from snapproxy.monitoring.verdict import ServiceSignals


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTotals:
    """Counters of all processes of the store, restarts included. Sizes are in bytes.

    `hits` were served from the store, `joined` from a download that ran already; `saved` are the bytes of both.
    `fetched`: from upstreams. `files`: by archive. `refusals`: by status. `unpinned`: requests to hosts of the setting
    `pass`.
    """

    hits: int = 0
    joined: int = 0
    misses: int = 0
    sent: int = 0
    saved: int = 0
    fetched: int = 0
    unverified: int = 0
    unpinned: int = 0
    files: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[int, int] = field(default_factory=dict)

    @property
    def answers(self) -> int:
        """The number of files that were served."""
        return self.hits + self.joined + self.misses


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSample:
    """The traffic of a period that began at `at`. `hits` include joined downloads; sizes are in bytes."""

    at: Instant
    hits: int = 0
    misses: int = 0
    refusals: int = 0
    sent: int = 0
    fetched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferState:
    """A download in progress. `arrived` and `length` in bytes, `length` None if unknown; `upstream`: '' if none yet."""

    space: str
    path: str
    upstream: str
    arrived: int
    length: int | None
    readers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamUse:
    """An upstream and its limits. `cool_down`: the remaining seconds, 0 without one, for `cause`.

    `slow_down`: by how much its refusals have slowed the pace; 1 for the full pace. `queued`: waiting requests.
    """

    name: str
    requests: int
    fetched: int
    queued: int = 0
    cool_down: float = 0.0
    cause: str = ""
    slow_down: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """The disk space of the store, in bytes; as `Space` of the store states it."""

    used: int
    limit: int | None
    free: int
    floor: int
    is_counted: bool


class RunningService(Protocol):
    """A running service, measured. Its methods return quickly."""

    def now(self) -> Instant:
        """Return the time."""

    async def signals(self) -> ServiceSignals:
        """Return the measurements for the verdict."""

    def totals(self) -> TrafficTotals: ...

    def last_day(self) -> Sequence[TrafficSample]:
        """Return the traffic of the last day, oldest first, in periods of equal length."""

    def transfers(self) -> Sequence[TransferState]: ...

    def upstreams(self) -> Sequence[UpstreamUse]:
        """Return the upstreams that were used, or that cool down."""

    def disk(self) -> DiskUse: ...
