"""Count clean-ups of the store for /metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from snapproxy.base.clock import Clock
from snapproxy.base.metrics import GC_RECLAIMED, GC_REMOVED, GC_RUNS, GC_SECONDS
from snapproxy.space.gc_report import GcReport
from snapproxy_storage import Counters


@contextlib.contextmanager
def counted(report: GcReport, counters: Counters, clock: Clock) -> Iterator[None]:
    """Count the clean-up in the block and the files that it removes, also if it fails. A dry run is not counted."""
    began, outcome = clock.monotonic(), "failure"
    try:
        yield
        outcome = "success"
    finally:
        if not report.is_dry_run:
            counters.add(GC_RUNS.key(outcome))
            counters.add(GC_SECONDS.key(), round((clock.monotonic() - began) * GC_SECONDS.scale))
            for kind, figures in (("blob", report.removed), ("table", report.tables)):
                counters.add(GC_REMOVED.key(kind), figures.files)
                counters.add(GC_RECLAIMED.key(kind), figures.size)
            counters.add(GC_REMOVED.key("draft"), report.drafts)
