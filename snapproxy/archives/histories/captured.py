"""Archives that nothing remembers but snapproxy itself: what it has seen of each root, and when.

There is no upstream to ask for the past (unless another snapproxy that watches the same archive stands in `snapshot`). Each root has
observations of its own (suites, or repositories side by side, may be seen at different seconds); a time is settled root by root.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.archives.no_timeline import NoTimeline
from snapproxy.core.model import Archive, Instant, NeedWindow, ObservedRoot, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.resolve import refuse_future
from snapproxy.core.resolve_observed import never_observed, resolve_observed


class Captured(NoTimeline):
    """The history named `captured`."""

    is_observed = True

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Refuse: without an observation nothing is known."""
        if when.instant is not None and when.instant > now:
            return refuse_future(now)
        return never_observed(archive)

    def resolve_seen(
        self, archive: Archive, when: TimeSpec, sighting: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Settle `when` by the observations of one root."""
        return resolve_observed(archive, when, sighting, now)
