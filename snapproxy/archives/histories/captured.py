"""Archives that nothing remembers but snapproxy itself: what it has seen of each root, and when.

There is no upstream to ask for the past. Each root has observations of its own (suites, or repositories side by side, may be seen
at different seconds); a time is settled root by root.
"""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Resolved, Sighting, TimelineAnswer, When, Window
from snapproxy.core.paths import snapshot_url
from snapproxy.core.resolve import refuse_future
from snapproxy.core.seen import never_observed, resolve_observed
from snapproxy.core.when import spell


class Captured:
    """The history named `captured`."""

    is_observed = True

    def resolve(
        self,
        row: Archive,
        when: When,
        windows: Mapping[tuple[Instant, Instant], Window],
        now: Instant,
    ) -> Resolved | Refusal | NeedWindow:
        """Refuse: without an observation nothing is known."""
        if when.instant is not None and when.instant > now:
            return refuse_future(now)
        return never_observed(row)

    def id_of(self, instant: Instant) -> str:
        """Return the instant, spelt."""
        return spell(instant)

    def timeless(self, path: str) -> str | None:
        """Return None: every file is asked for by a time."""
        return None

    def resolve_seen(self, row: Archive, when: When, sighting: Sighting, now: Instant) -> Resolved | Refusal | None:
        """Settle `when` by the observations of one root."""
        return resolve_observed(row, when, sighting, now)

    def timeline_urls(self, row: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return nothing: there is nobody to ask."""
        return ()

    def read_window(
        self, row: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return None: nothing was asked."""
        return None

    def url(self, row: Archive, base: str, snapshot: str, path: str) -> str:
        """Return `base/<snapshot>/<path>`: another snapproxy that watches the same archive may stand in `snapshot`."""
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
