"""Archives whose server answers for every second (snapshot.ubuntu.com, Launchpad's PPAs): there is no timeline to learn.

The snapshot id is the instant itself, and what cannot be told from it (was the publisher at work that very second?) the
signatures tell. For Launchpad the row's scope is what stands before the id: owner, PPA, distribution.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.archives.no_timeline import NoTimeline
from snapproxy.core.model import Archive, Instant, NeedWindow, ObservedRoot, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.resolve import resolve_any
from snapproxy.core.resolve_observed import resolve_bracketed


class AnyInstant(NoTimeline):
    """The history named `any-instant`."""

    is_observed = False

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Settle `when` from the clock alone."""
        return resolve_any(archive, when, now)

    def resolve_seen(
        self, archive: Archive, when: TimeSpec, sighting: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Settle `when` inside a span through which the root stayed the same."""
        return resolve_bracketed(when, sighting, now)
