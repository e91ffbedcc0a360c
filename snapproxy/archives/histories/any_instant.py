"""Archives whose server answers for every second (snapshot.ubuntu.com, Launchpad's PPAs): there is no timeline to learn.

The snapshot id is the instant itself, and what cannot be told from it (was the publisher at work that very second?) the
signatures tell.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Resolved, Sighting, TimelineAnswer, When, Window
from snapproxy.core.paths import snapshot_url
from snapproxy.core.resolve import resolve_any
from snapproxy.core.seen import resolve_bracketed
from snapproxy.core.when import spell


class AnyInstant:
    """The history named `any-instant`."""

    is_observed = False

    def resolve(
        self,
        row: Archive,
        when: When,
        windows: Mapping[tuple[Instant, Instant], Window],
        now: Instant,
    ) -> Resolved | Refusal | NeedWindow:
        """Settle `when` from the clock alone."""
        return resolve_any(row, when, now)

    def id_of(self, instant: Instant) -> str:
        """Return the instant, spelt."""
        return spell(instant)

    def timeless(self, path: str) -> str | None:
        """Return None: every file is asked for by a time."""
        return None

    def resolve_seen(self, row: Archive, when: When, sighting: Sighting, now: Instant) -> Resolved | Refusal | None:
        """Settle `when` inside a span through which the root stayed the same."""
        return resolve_bracketed(when, sighting, now)

    def timeline_urls(self, row: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return nothing: no address tells of a timeline."""
        return ()

    def read_window(
        self, row: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return None: nothing was asked."""
        return None

    def url(self, row: Archive, base: str, snapshot: str, path: str) -> str:
        """Return `base/<scope>/<snapshot>/<path>`; the scope is what Launchpad puts before the id: owner, PPA, distribution."""
        return snapshot_url(base, snapshot, path, row.scope)

    def service_url(self, base: str, path: str) -> str | None:
        """Return None: there is no interface but the files."""
        return None

    def digest_in(self, url: str) -> str | None:
        """Return None: no address names a digest."""
        return None

    def is_answer(self, url: str) -> bool:
        """Return False: nothing is asked that a redirect would answer."""
        return False
