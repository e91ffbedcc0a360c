"""The shared counters and gauges of snapproxy, by the names under which Prometheus reads them.

Every counter of `snapproxy_storage.Counters` is named here, and nowhere else. To count, use the key of a metric:

    store.counters.add(GC_REMOVED.key("blob"))

Names follow the conventions of Prometheus: base units, `_total` for counters, `_seconds`, `_bytes`. Labels have few
values: never the name of a package or a capture, nor the address of a client.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

MICROSECONDS = 1_000_000
"""Stored counters are whole numbers, so seconds are counted in microseconds."""

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of histograms, in seconds; a last bucket has no bound."""


class Kind(Enum):
    """The types of metrics, as in Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. `scale`: the stored number divided by it is the value in the unit of the name."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.COUNTER
    scale: int = 1

    def key(self, *values: str) -> str:
        """Return the name of the stored counter with these values of the labels, in their order."""
        return " ".join((self.name, *values))


def is_failure(status: int) -> bool:
    """Return whether this service or an upstream is responsible for a refusal; clients cause the others."""
    return status in {424, 429} or status >= 500  # noqa: PLR2004 # numbers of HTTP


OTHERS = "others"
"""The value of a label that stands for the names beyond the limit of those that are counted one by one."""


def values_of(key: str) -> tuple[str, tuple[str, ...]]:
    """Return the name and the values of the labels of a stored counter."""
    name, *values = key.split(" ")
    return name, tuple(values)


# --- answers to clients -----------------------------------------------------------------------------------------------

REQUESTS = Metric(
    "snapproxy_requests_total",
    "Files sent, by outcome: hit (stored before), miss (downloaded for this request), joined (a running download).",
    ("archive", "outcome"),
)
REFUSALS = Metric(
    "snapproxy_refusals_total",
    "Requests refused, by status; archive none: before an archive was known.",
    ("archive", "status"),
)
SENT_BYTES = Metric("snapproxy_sent_bytes_total", "Bytes of files sent to clients, by outcome.", ("archive", "outcome"))
SAVING = frozenset({"hit", "joined"})
"""The outcomes whose bytes were served without a download of their own."""

UNVERIFIED = Metric("snapproxy_unverified_files_total", "Files sent that nothing verified.", ("archive",))
UNPINNED = Metric("snapproxy_unpinned_requests_total", "Requests to hosts of the setting pass, and tunnels.")
UNPINNED_BYTES = Metric("snapproxy_unpinned_bytes_total", "Bytes of such requests and tunnels, in both directions.")

# --- upstreams --------------------------------------------------------------------------------------------------------

UPSTREAM_REQUESTS = Metric(
    "snapproxy_upstream_requests_total",
    "Requests sent to upstreams, redirects included, by outcome: body, unchanged, absent, no_range, redirect, "
    "throttled, forbidden, failed.",
    ("host", "outcome"),
)
UPSTREAM_THROTTLED = Metric(
    "snapproxy_upstream_throttled_total",
    "Requests that an upstream refused for their rate (429, 503, 509).",
    ("host", "status"),
)
UPSTREAM_NOT_SENT = Metric(
    "snapproxy_upstream_not_sent_total",
    "Requests that were not sent to an upstream, by reason: cool_down, queue_full.",
    ("host", "reason"),
)
UPSTREAM_BYTES = Metric("snapproxy_upstream_received_bytes_total", "Bytes of files received.", ("host",))
UPSTREAM_WAITS = Metric(
    "snapproxy_upstream_waits_total",
    "Requests that waited for a permit: rate limit, cool-down, connections.",
    ("host",),
)
UPSTREAM_WAIT_SECONDS = Metric(
    "snapproxy_upstream_wait_seconds_total",
    "Seconds that requests waited for a permit.",
    ("host",),
    scale=MICROSECONDS,
)
UPSTREAM_LATENCY = Metric(
    "snapproxy_upstream_response_seconds",
    "Seconds from a permitted request to the head of its answer, or its failure.",
    ("host",),
    Kind.HISTOGRAM,
    MICROSECONDS,
)
VERIFICATION_FAILURES = Metric(
    "snapproxy_verification_failures_total", "Downloads that failed their check: digest or signature.", ("archive",)
)
OBSERVATIONS = Metric(
    "snapproxy_observations_total",
    "Observations of archives of the setting watch, by outcome: success, failure.",
    ("archive", "outcome"),
)

# --- the store --------------------------------------------------------------------------------------------------------

GC_RUNS = Metric("snapproxy_gc_runs_total", "Runs of garbage collection, by outcome: success, failure.", ("outcome",))
GC_SECONDS = Metric("snapproxy_gc_seconds_total", "Seconds that garbage collection took.", scale=MICROSECONDS)
GC_REMOVED = Metric(
    "snapproxy_gc_removed_files_total",
    "Files that garbage collection removed, by kind: blob, table, draft.",
    ("kind",),
)
GC_RECLAIMED = Metric(
    "snapproxy_gc_reclaimed_bytes_total",
    "Bytes on disk of the files that garbage collection removed, by kind: blob, table.",
    ("kind",),
)
UNSTORED = Metric("snapproxy_unstored_files_total", "Files sent without being stored, because the disk took no bytes.")
FSCK_RUNS = Metric("snapproxy_fsck_runs_total", "Completed checks of all stored files.")
FSCK_FILES = Metric("snapproxy_fsck_checked_files_total", "Stored files whose bytes were checked.")
FSCK_BYTES = Metric("snapproxy_fsck_checked_bytes_total", "Bytes of these files.")
FSCK_DAMAGED = Metric("snapproxy_fsck_damaged_files_total", "Stored files whose bytes had changed.")
FSCK_REPAIRED = Metric("snapproxy_fsck_repaired_files_total", "Damaged files that were downloaded again.")

# --- the processes ----------------------------------------------------------------------------------------------------

HELPER_STARTS = Metric(
    "snapproxy_index_helper_starts_total", "Starts of the process that reads indexes; it ends when it is idle."
)
HELPER_DEATHS = Metric(
    "snapproxy_index_helper_failures_total", "Deaths of that process during an index, at its limits or by a fault."
)
IN_FLIGHT = Metric("snapproxy_requests_in_flight", "Requests that are being answered.", kind=Kind.GAUGE)
CONNECTIONS = Metric("snapproxy_open_connections", "Connected clients.", kind=Kind.GAUGE)
DOWNLOADS = Metric("snapproxy_downloads_running", "Downloads that are running or queued.", kind=Kind.GAUGE)
LOOP_LAG = Metric(
    "snapproxy_event_loop_lag_seconds",
    "Longest delay of the event loop in the last minute, the longest of all processes.",
    kind=Kind.GAUGE,
    scale=MICROSECONDS,
)
OTHER = Metric("snapproxy_other_total", "Counts whose name or labels exceed a limit.")

STORED: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics that are stored, in the order of this module."""


def upstream_hosts(totals: Iterable[str]) -> list[str]:
    """Return the upstreams that were to be requested, by the keys of the counters; those beyond the limit are left out.

    One that only cools down has no request.
    """
    keys = map(values_of, totals)
    used = {UPSTREAM_REQUESTS.name, UPSTREAM_NOT_SENT.name}
    return list(dict.fromkeys(labels[0] for name, labels in keys if name in used and labels and labels[0] != OTHERS))
