"""/metrics: the exposition for Prometheus, by prometheus-client, from counters that all processes share."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import assert_never

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from snapproxy import __version__
from snapproxy.base.metrics import BUCKETS, LOOP_LAG, OTHER, SAVING, SENT_BYTES, Kind, Metric, values_of
from snapproxy.core.exchange import Page, PageRequest
from snapproxy.monitoring.measured import ALL, BUILD_INFO, PROCESSES, SAVED_BYTES, Readings, Values
from snapproxy_storage import OTHER_COUNTER, Counters

PATH = "/metrics"

MAX_ACCEPT = 1024
"""Number of characters of Accept that are read; that of Prometheus has some 300."""


class MetricsPage:
    """The page. `measure` returns the measurements of each answer."""

    def __init__(self, counters: Counters, measure: Callable[[], Awaitable[Readings]]) -> None:
        self._counters = counters
        self._measure = measure

    async def answer(self, request: PageRequest) -> Page:
        """Return the exposition in the format that the client accepts: the text format, or OpenMetrics.

        Raises StorageFailure: an exposition without the counters would read as a restart.
        """
        media_type, body = await self.text(request.accept)
        return Page(media_type, body)

    async def text(self, accept: str = "") -> tuple[str, bytes]:
        """Return the Content-Type and the exposition."""
        stored = await asyncio.to_thread(_stored, self._counters)
        values = {**stored, **(await self._measure()).values()}
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Values(values))
        try:
            encode, media_type = choose_encoder(accept[:MAX_ACCEPT])
            return media_type, encode(registry)
        except (ValueError, TypeError):  # the library cannot read a version in Accept
            encode, media_type = choose_encoder("")
            return media_type, encode(registry)


class _Values(Collector):
    """Gives prometheus-client the values of all metrics."""

    def __init__(self, values: Mapping[Metric, Values]) -> None:
        self._values = values

    def collect(self) -> Iterable[Family]:
        """Return the metrics that have a value. One without labels has at least the value that it starts with."""
        return [_family(metric, self._values[metric]) for metric in ALL if self._values.get(metric)]


def _family(metric: Metric, values: Values) -> Family:
    match metric.kind:
        case Kind.COUNTER:
            counter = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
            for labels, value in sorted(values.items()):
                counter.add_metric(labels, value)
            return counter
        case Kind.GAUGE:
            gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in sorted(values.items()):
                gauge.add_metric(labels, value)
            return gauge
        case Kind.HISTOGRAM:
            return _histogram(metric, values)
        case _:
            assert_never(metric.kind)


def _histogram(metric: Metric, values: Values) -> Family:
    """Return a histogram of the stored counts, each for one bucket: Prometheus has cumulative ones."""
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels in sorted({each[:-1] for each in values}):
        buckets, total = [], 0.0
        for bound in (*map(str, BUCKETS), "+Inf"):
            total += values.get((*labels, bound), 0.0)
            buckets.append((bound, total))
        family.add_metric(labels, buckets, values.get((*labels, "sum"), 0.0))
    return family


def _stored(counters: Counters) -> dict[Metric, Values]:
    """Return the values of the stored metrics, and of those that follow from them."""
    by_name = {metric.name: metric for metric in ALL}
    found: dict[Metric, dict[tuple[str, ...], float]] = {
        metric: {} if metric.labels else {(): 0.0} for metric in ALL if metric.kind is Kind.COUNTER
    }
    for key, value in counters.totals().items():
        name, labels = values_of(OTHER.key() if key == OTHER_COUNTER else key)
        metric = by_name.get(name)
        if metric is not None and _fits(metric, labels):
            # Buckets are counts; every other value has the scale of its metric.
            scale = 1 if metric.kind is Kind.HISTOGRAM and labels[-1] != "sum" else metric.scale
            found.setdefault(metric, {})[labels] = value / scale
    processes = counters.gauges()
    for gauge in (metric for metric in ALL if metric.kind is Kind.GAUGE):
        each = [gauges[gauge.key()] / gauge.scale for gauges in processes if gauge.key() in gauges]
        if each:
            found[gauge] = {(): max(each) if gauge is LOOP_LAG else sum(each)}
    found[SAVED_BYTES] = _saved(found[SENT_BYTES])
    found[PROCESSES] = {(): float(len(processes))}
    found[BUILD_INFO] = {(__version__, platform.python_version()): 1.0}
    return dict(found)


def _fits(metric: Metric, labels: tuple[str, ...]) -> bool:
    """Return whether a stored counter has the labels of its metric: another version may have counted others."""
    return len(labels) == len(metric.labels) + (metric.kind is Kind.HISTOGRAM)


def _saved(sent: Values) -> dict[tuple[str, ...], float]:
    saved: dict[tuple[str, ...], float] = {}
    for (archive, outcome), value in sent.items():
        if outcome in SAVING:
            saved[archive,] = saved.get((archive,), 0.0) + value
    return saved
