"""/metrics: every metric of the code, valid for Prometheus in both formats, with bounded labels."""

from __future__ import annotations

import platform
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from snapproxy import __version__
from snapproxy.base import metrics
from snapproxy.base.metrics import STORED, Kind
from snapproxy.core.exchange import PageRequest
from snapproxy.monitoring.measured import ALL, Readings
from snapproxy.monitoring.metrics_page import MetricsPage
from snapproxy_storage import MemoryCounters

OPENMETRICS = "application/openmetrics-text;version=1.0.0"

READINGS = Readings(
    is_writable=True,
    disk_free=10,
    disk_size=20,
    open_captures=1,
    started=1_717_200_000.5,
    stored=5,
    reserved=2,
    quota=9,
    protected=3,
    cool_downs={"snapshot.example": 1_717_200_100.0},
    observed={"alpine": 1_717_100_000.0},
)


def page(counters: MemoryCounters, readings: Readings = READINGS) -> MetricsPage:
    async def measure() -> Readings:
        return readings

    return MetricsPage(counters, measure)


def full() -> MemoryCounters:
    """Return counters in which every metric has a value."""
    counters = MemoryCounters()
    for metric in STORED:
        if metric.kind is Kind.GAUGE:
            counters.set_gauge(metric.key(), 3)
        elif metric.kind is Kind.COUNTER:
            counters.add(metric.key(*(f"{label}0" for label in metric.labels)), 4)
    for bucket in ("0.1", "1.0", "+Inf"):
        counters.add(metrics.UPSTREAM_LATENCY.key("h", bucket), 2)
    counters.add(metrics.UPSTREAM_LATENCY.key("h", "sum"), 3_500_000)
    for outcome in ("hit", "joined", "miss"):
        counters.add(metrics.SENT_BYTES.key("debian", outcome), 100)
    return counters


async def samples(counters: MemoryCounters, readings: Readings = READINGS) -> dict[str, float]:
    """Return the values of the exposition by name and labels, as a scraper reads them."""
    _, body = await page(counters, readings).text()
    found = {}
    for family in read_text(body.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_every_metric_of_the_code_is_in_the_exposition_and_no_other() -> None:
    _, body = await page(full()).text()
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in read_text(body.decode())
    }
    assert families == {metric.name for metric in ALL}


async def test_promtool_accepts_the_exposition() -> None:
    _, body = await page(full()).text()
    result = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


async def test_the_values_are_in_the_unit_of_the_name() -> None:
    counters = full()
    counters.add(metrics.UPSTREAM_WAIT_SECONDS.key("h"), 2_500_000)
    counters.set_gauge(metrics.LOOP_LAG.key(), 250_000)
    found = await samples(counters)
    assert found["snapproxy_upstream_wait_seconds_total{host=h}"] == 2.5
    assert found["snapproxy_event_loop_lag_seconds"] == 0.25
    assert found["snapproxy_saved_bytes_total{archive=debian}"] == 200
    assert found["snapproxy_store_quota_bytes"] == 9
    assert found["snapproxy_upstream_cool_down_end_timestamp_seconds{host=snapshot.example}"] == 1_717_200_100
    assert found[f"snapproxy_build_info{{python={platform.python_version()},version={__version__}}}"] == 1


async def test_a_histogram_is_cumulative() -> None:
    found = await samples(full())
    name = "snapproxy_upstream_response_seconds"
    counts = [found[f"{name}_bucket{{host=h,le={bound}}}"] for bound in ("0.05", "0.1", "0.5", "1.0", "30.0", "+Inf")]
    assert counts == [0, 2, 2, 4, 4, 6]
    assert (found[f"{name}_count{{host=h}}"], found[f"{name}_sum{{host=h}}"]) == (6, 3.5)


async def test_a_new_service_has_the_counters_without_labels_at_zero() -> None:
    found = await samples(
        MemoryCounters(), Readings(is_writable=False, disk_free=1, disk_size=2, open_captures=0, started=1)
    )
    assert found["snapproxy_unstored_files_total"] == 0
    assert found["snapproxy_store_writable"] == 0
    assert "snapproxy_store_quota_bytes" not in found


@pytest.mark.parametrize("key", ["snapproxy_requests_total debian", "snapproxy_unknown_total", "", "x y z"])
async def test_counters_of_another_version_are_not_shown(key: str) -> None:
    counters = MemoryCounters()
    before = await samples(counters)
    counters.add(key, 5)
    assert await samples(counters) == before


async def test_counts_beyond_the_limits_are_shown_as_such() -> None:
    counters = MemoryCounters()
    counters.add("x" * 200, 7)
    assert (await samples(counters))["snapproxy_other_total"] == 7


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "text/html"])
async def test_the_text_format_is_the_default(accept: str) -> None:
    answer = await page(full()).answer(PageRequest("/metrics", {}, accept))
    assert answer.media_type.startswith("text/plain; version=0.0.4")
    assert list(read_text(answer.body.decode()))


async def test_openmetrics_is_sent_to_a_client_that_accepts_it() -> None:
    media_type, body = await page(full()).text(OPENMETRICS)
    assert media_type.startswith("application/openmetrics-text; version=1.0.0")
    assert {family.name for family in read_openmetrics(body.decode())} == {
        metric.name.removesuffix("_total") for metric in ALL
    }


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=",
        "application/openmetrics-text;version=x.y",
        "application/openmetrics-text;version=99999999999999999999.1.1",
        "text/plain;version=1.0.0;escaping=nonsense",
        ";;,,;=",
        "application/openmetrics-text;version=1.0.0" * 50,
    ],
)
async def test_a_strange_accept_gets_a_whole_exposition_of_a_known_type(accept: str) -> None:
    media_type, body = await page(full()).text(accept)
    assert media_type.startswith(("text/plain; ", "application/openmetrics-text; "))
    assert len(media_type) < 100
    assert b"snapproxy_requests_total" in body


def test_no_label_names_a_package_a_capture_or_a_client() -> None:
    labels = {label for metric in ALL for label in metric.labels}
    assert labels == {"archive", "outcome", "status", "host", "reason", "kind", "version", "python"}
