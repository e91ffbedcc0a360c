"""What histories have in common whose timeline nobody can be asked for: an archive that answers for every second, and one that only we remember.

Their snapshots are called by their instant. How a time is settled is each one's own.
"""

from __future__ import annotations

from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import Archive, Instant, NeedWindow, Window
from snapproxy.core.paths import snapshot_url
from snapproxy.core.time_spec import format_instant


class NoTimeline:
    """The part of a `History` that asks and reads: there is nothing to ask."""

    def id_of(self, instant: Instant) -> str:
        """Return the instant, spelt."""
        return format_instant(instant)

    def timeless(self, path: str) -> str | None:
        """Return None: every file is asked for by a time."""
        return None

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return nothing: no address tells of a timeline."""
        return ()

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return None: nothing was asked."""
        return None

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return `base/<scope>/<snapshot>/<path>`; the scope is what a row says stands before the id."""
        return snapshot_url(base, snapshot, path, archive.scope)

    def service_url(self, base: str, path: str) -> str | None:
        """Return None: there is no interface but the files."""
        return None

    def digest_in(self, url: str) -> str | None:
        """Return None: no address names a digest."""
        return None

    def is_answer(self, url: str) -> bool:
        """Return False: nothing is asked that a redirect would answer."""
        return False
