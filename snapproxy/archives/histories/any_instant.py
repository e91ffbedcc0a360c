"""Archives whose server answers for every second (snapshot.ubuntu.com, Launchpad's PPAs), without a timeline.

The snapshot id is the instant itself. It does not show whether a publication was under way in that second; signatures
detect that. For Launchpad the archive's scope is the part before the id: owner, PPA, distribution.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.archives.no_timeline import NoTimeline
from snapproxy.core.model import Archive, Instant, NeedWindow, ObservedRoot, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.resolve import resolve_any
from snapproxy.core.resolve_observed import resolve_bracketed
from snapproxy.core.root_checks import CLOCK_SLACK


class AnyInstant(NoTimeline):
    """The history named `any-instant`."""

    root_date_slack = CLOCK_SLACK
    is_observed = False

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Resolve `when` from the clock alone."""
        return resolve_any(archive, when, now)

    def newest(
        self, archive: Archive, instant: Instant, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Instant | Refusal | NeedWindow | None:
        """Return the instant itself: every second is a snapshot."""
        return instant

    def resolve_observed_root(
        self, archive: Archive, when: TimeSpec, observed: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Resolve `when` within a span in which the root did not change."""
        return resolve_bracketed(when, observed, now)
