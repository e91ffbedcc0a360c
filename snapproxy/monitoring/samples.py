"""Samples of the shared counters, one a minute for the last day, in the store so that a restart keeps them.

The store has a ring of facts, one for each minute of the day. One process writes; another one takes over if it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any, Never

from snapproxy.base import metrics
from snapproxy.base.clock import Clock
from snapproxy.core.model import Instant
from snapproxy_storage import Catalog, Counters, Slot, Slots, StorageFailure

PERIOD = 60
"""Seconds between two samples."""

MAX_SAMPLES = 1440
"""Number of samples that are kept: those of a day."""

_LATE = 2
"""Minutes after which a sample is no longer written: it is taken at the beginning of its minute."""


@dataclass(frozen=True, slots=True)
class TotalsSample:
    """Totals at one time, or their growth since the sample before. Sizes are in bytes.

    `throttled`: requests that upstreams refused for their rate; `waits`: requests that waited for a permit.
    """

    at: Instant
    hits: int
    joined: int
    misses: int
    refusals: int
    sent: int
    fetched: int
    waits: int
    throttled: int

    def since(self, before: TotalsSample) -> TotalsSample:
        """Return the growth since an earlier sample. A total that has decreased, after damage, has grown by nothing."""
        _, *later = astuple(self)
        _, *earlier = astuple(before)
        return TotalsSample(self.at, *(max(0, new - old) for new, old in zip(later, earlier, strict=True)))


_NUMBERS = len(TotalsSample.__slots__)


class DaySamples:
    """The samples of the last day, of all processes of the store together."""

    def __init__(self, catalog: Catalog, slots: Slots, counters: Counters, clock: Clock) -> None:
        self._catalog = catalog
        self._slots = slots
        self._counters = counters
        self._clock = clock
        self._writer: Slot | None = None
        self._samples: dict[int, TotalsSample] = {}
        """The samples that were read, by minute."""
        self._complete = 0
        """The minute up to which every sample was read: no process writes one of these minutes any more."""

    async def run(self) -> Never:
        """Take a sample each minute until cancelled, unless another process does."""
        try:
            while True:
                now = self._clock.now()
                await self._clock.sleep(PERIOD - now % PERIOD)
                await self.take()
        finally:
            if self._writer is not None:
                self._writer.release()
                self._writer = None

    async def take(self) -> None:
        """Write a sample, if this process is the one that does. A store that fails loses the sample."""
        try:
            self._writer = self._writer or self._slots.take("samples", 1)
            if self._writer is None:
                return
            sample = await asyncio.to_thread(total, self._counters, self._clock.now())
            await self._catalog.put_fact(_key(sample.at // PERIOD), astuple(sample))
        except StorageFailure:
            return
        self._samples[sample.at // PERIOD] = sample

    def last_day(self) -> Sequence[TotalsSample]:
        """Return the growth from sample to sample in the last day, oldest first; a gap makes a longer period.

        The first call reads 1,440 rows, some ten milliseconds; later ones read those of the minutes since then.
        """
        now = self._clock.now()
        last = now // PERIOD
        self._samples = {minute: each for minute, each in self._samples.items() if last - MAX_SAMPLES < minute <= last}
        for minute in range(max(self._complete, last - MAX_SAMPLES) + 1, last + 1):
            sample = _read(self._catalog.fact(_key(minute), now), minute)
            if sample is not None:
                self._samples[minute] = sample
        self._complete = last - _LATE
        ordered = [self._samples[minute] for minute in sorted(self._samples)]
        return [later.since(earlier) for earlier, later in pairwise(ordered)]


def total(counters: Counters, at: Instant) -> TotalsSample:
    """Return the present totals."""
    totals = counters.totals()
    keys = [(*metrics.values_of(key), value) for key, value in totals.items()]

    def of(metric: metrics.Metric, *outcome: str) -> int:
        return sum(value for name, labels, value in keys if name == metric.name and outcome in ((), labels[-1:]))

    return TotalsSample(
        at,
        of(metrics.REQUESTS, "hit"),
        of(metrics.REQUESTS, "joined"),
        of(metrics.REQUESTS, "miss"),
        of(metrics.REFUSALS),
        of(metrics.SENT_BYTES),
        of(metrics.UPSTREAM_BYTES),
        of(metrics.UPSTREAM_WAITS),
        of(metrics.UPSTREAM_THROTTLED),
    )


def _key(minute: int) -> str:
    return f"sample/{minute % MAX_SAMPLES}"


def _read(row: Any, minute: int) -> TotalsSample | None:
    """Return the sample of a row, None if it is that of another day, or of another version."""
    if not isinstance(row, list) or len(row) != _NUMBERS or not all(type(each) is int for each in row):
        return None
    sample = TotalsSample(*row)
    return sample if sample.at // PERIOD == minute else None
