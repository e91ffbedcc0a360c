"""Archives without a snapshot service: their past is known from snapproxy's own observations of each root.

No upstream has the past, except another snapproxy that watches the same archive (in `snapshot`). Each root is observed
separately, because suites and repositories may be observed at different seconds; a time is resolved for each root.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.archives.no_timeline import NoTimeline
from snapproxy.core.model import Archive, Instant, NeedWindow, ObservedRoot, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.resolve import refuse_future
from snapproxy.core.resolve_observed import never_observed, resolve_observed
from snapproxy.core.root_checks import CLOCK_SLACK


class Captured(NoTimeline):
    """The history named `captured`."""

    root_date_slack = CLOCK_SLACK
    is_observed = True

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Refuse: the past is unknown without an observation."""
        if when.instant is not None and when.instant > now:
            return refuse_future(now)
        return never_observed(archive)

    def newest(
        self, archive: Archive, instant: Instant, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Instant | Refusal | NeedWindow | None:
        """Return None: the archive has no list of snapshots."""
        return None

    def resolve_observed_root(
        self, archive: Archive, when: TimeSpec, observed: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Resolve `when` from the observations of one root."""
        return resolve_observed(archive, when, observed, now)
