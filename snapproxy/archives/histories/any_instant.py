"""Archives whose server answers for every second (snapshot.ubuntu.com, Launchpad's PPAs): there is no timeline to learn.

The snapshot id is the instant itself, and what cannot be told from it (was the publisher at work that very second?) the
signatures tell. For Launchpad the row's scope is what stands before the id: owner, PPA, distribution.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.archives.unasked import Unasked
from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Resolved, Sighting, When, Window
from snapproxy.core.resolve import resolve_any
from snapproxy.core.seen import resolve_bracketed


class AnyInstant(Unasked):
    """The history named `any-instant`."""

    is_observed = False

    def resolve(
        self, row: Archive, when: When, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Settle `when` from the clock alone."""
        return resolve_any(row, when, now)

    def resolve_seen(self, row: Archive, when: When, sighting: Sighting, now: Instant) -> Resolved | Refusal | None:
        """Settle `when` inside a span through which the root stayed the same."""
        return resolve_bracketed(when, sighting, now)
