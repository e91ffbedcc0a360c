"""Plots of the last day as bars, computed without I/O. A template draws them, and a table has the values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snapproxy.core.model import Instant
from snapproxy.pages.service import TrafficSample

DAY = 86400
BARS = 96
"""Number of bars of a plot: one for a quarter of an hour."""

WIDTH, HEIGHT = 960, 120
"""The size of a plot in its own units; it is scaled to the page."""

_GAP = 2


@dataclass(frozen=True, slots=True)
class PlotBar:
    """A bar: two parts, one on top of the other. `lower` and `upper` are heights, `left` its left edge."""

    left: int
    lower: float
    upper: float

    @property
    def top(self) -> float:
        """The distance of the upper part from the top of the plot."""
        return HEIGHT - self.lower - self.upper


@dataclass(frozen=True, slots=True)
class DayPlot:
    """A plot of a day. `most` is the greatest sum of a bar, in the unit of the values."""

    bars: tuple[PlotBar, ...]
    most: int
    width: int = WIDTH // BARS - _GAP


def day_plot(
    samples: Sequence[TrafficSample],
    now: Instant,
    lower: Callable[[TrafficSample], int],
    upper: Callable[[TrafficSample], int],
) -> DayPlot:
    """Return the plot of two values of each sample of the day before `now`, added up for each bar."""
    sums = [[0, 0] for _ in range(BARS)]
    for each in samples:
        bar = BARS - 1 - (now - each.at) * BARS // DAY
        if 0 <= bar < BARS:
            sums[bar][0] += max(0, lower(each))
            sums[bar][1] += max(0, upper(each))
    most = max(one + other for one, other in sums)
    unit = HEIGHT / most if most else 0.0
    step = WIDTH // BARS
    bars = [
        PlotBar(index * step, round(one * unit, 1), round(other * unit, 1))
        for index, (one, other) in enumerate(sums)
        if one or other
    ]
    return DayPlot(tuple(bars), most)


def by_hour(samples: Sequence[TrafficSample], now: Instant) -> list[TrafficSample]:
    """Return the sums of each hour of the day before `now` that has traffic, the newest first."""
    found: dict[int, list[TrafficSample]] = {}
    for each in samples:
        if now - DAY < each.at <= now:
            found.setdefault(each.at // 3600 * 3600, []).append(each)
    return [
        TrafficSample(
            at=hour,
            hits=sum(each.hits for each in parts),
            misses=sum(each.misses for each in parts),
            refusals=sum(each.refusals for each in parts),
            sent=sum(each.sent for each in parts),
            fetched=sum(each.fetched for each in parts),
        )
        for hour, parts in sorted(found.items(), reverse=True)
    ]
