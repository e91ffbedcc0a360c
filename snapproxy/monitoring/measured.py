"""The metrics that are measured when they are requested, beside the stored counters of `base.metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from snapproxy.base.metrics import STORED, Kind, Metric

SAVED_BYTES = Metric(
    "snapproxy_saved_bytes_total",
    "Bytes of files sent to clients that no upstream sent for them: outcomes hit and joined.",
    ("archive",),
)
COOL_DOWN_END = Metric(
    "snapproxy_upstream_cool_down_end_timestamp_seconds",
    "When the cool-down of an upstream ends; absent for an upstream that is not cooling down.",
    ("host",),
    Kind.GAUGE,
)
STORE_BYTES = Metric("snapproxy_store_bytes", "Bytes on disk of stored files and of kept drafts.", kind=Kind.GAUGE)
STORE_RESERVED = Metric(
    "snapproxy_store_reserved_bytes", "Bytes promised to running downloads, those written included.", kind=Kind.GAUGE
)
STORE_QUOTA = Metric("snapproxy_store_quota_bytes", "The setting quota; absent without one.", kind=Kind.GAUGE)
STORE_PROTECTED = Metric(
    "snapproxy_store_protected_bytes",
    "Bytes of files that captures and pins keep, at the last clean-up; absent without a quota.",
    kind=Kind.GAUGE,
)
DISK_FREE = Metric("snapproxy_disk_free_bytes", "Free bytes of the file system of state_dir.", kind=Kind.GAUGE)
DISK_SIZE = Metric("snapproxy_disk_size_bytes", "Size of that file system.", kind=Kind.GAUGE)
STORE_WRITABLE = Metric("snapproxy_store_writable", "1 if the store takes files, otherwise 0.", kind=Kind.GAUGE)
OPEN_CAPTURES = Metric("snapproxy_open_captures", "Captures that are being recorded.", kind=Kind.GAUGE)
LAST_OBSERVATION = Metric(
    "snapproxy_last_observation_timestamp_seconds",
    "When an archive of the setting watch was last observed successfully.",
    ("archive",),
    Kind.GAUGE,
)
PROCESSES = Metric("snapproxy_processes", "Processes that use the store and count.", kind=Kind.GAUGE)
STARTED = Metric(
    "snapproxy_process_start_timestamp_seconds", "When the process that answers was started.", kind=Kind.GAUGE
)
BUILD_INFO = Metric("snapproxy_build_info", "Always 1; the labels are the versions.", ("version", "python"), Kind.GAUGE)

MEASURED = (
    SAVED_BYTES,
    COOL_DOWN_END,
    STORE_BYTES,
    STORE_RESERVED,
    STORE_QUOTA,
    STORE_PROTECTED,
    DISK_FREE,
    DISK_SIZE,
    STORE_WRITABLE,
    OPEN_CAPTURES,
    LAST_OBSERVATION,
    PROCESSES,
    STARTED,
    BUILD_INFO,
)

ALL = (*STORED, *MEASURED)
"""Every metric of the exposition."""

Values = Mapping[tuple[str, ...], float]
"""The values of a metric, by the values of its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The measurements for one answer. Sizes in bytes, times in seconds since the epoch.

    `quota` and `protected`: None without a quota. `stored` and `reserved`: None if they are not known. `cool_downs`:
    the ends, by upstream.
    """

    is_writable: bool
    disk_free: int
    disk_size: int
    open_captures: int
    started: float
    stored: int | None = None
    reserved: int | None = None
    quota: int | None = None
    protected: int | None = None
    cool_downs: Mapping[str, float] = field(default_factory=dict)
    observed: Mapping[str, float] = field(default_factory=dict)

    def values(self) -> dict[Metric, Values]:
        """Return the values by metric; a value that is not known is absent."""
        single: dict[Metric, float | None] = {
            STORE_WRITABLE: float(self.is_writable),
            DISK_FREE: self.disk_free,
            DISK_SIZE: self.disk_size,
            OPEN_CAPTURES: self.open_captures,
            STARTED: self.started,
            STORE_BYTES: self.stored,
            STORE_RESERVED: self.reserved,
            STORE_QUOTA: self.quota,
            STORE_PROTECTED: self.protected,
        }
        found: dict[Metric, Values] = {metric: {(): value} for metric, value in single.items() if value is not None}
        found[COOL_DOWN_END] = {(host,): end for host, end in self.cool_downs.items()}
        found[LAST_OBSERVATION] = {(archive,): at for archive, at in self.observed.items()}
        return found
