"""What histories have in common whose timeline nobody can be asked for: an archive that answers for every second, and one that only we remember.

Their snapshots are called by their instant. How a time is settled is each one's own.
"""

from __future__ import annotations

from snapproxy.core.history import NativeCall, NativeFile, TimelineAnswer
from snapproxy.core.model import Archive, HistorySettings, Instant, NeedWindow, Window
from snapproxy.core.paths import snapshot_url
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ClientError


class NoTimeline:
    """The part of a `History` that asks and reads: there is nothing to ask."""

    default_settings: HistorySettings | None = None
    native_names: frozenset[str] = frozenset()

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

    def native_root(self, base: str) -> str | None:
        """Return None: every address has the form `<time>/<path>`."""
        return None

    def native_names_of(self, archive: Archive) -> frozenset[str]:
        """Return nothing: there are no native addresses."""
        return frozenset()

    def read_native(self, archive: Archive, path: str, query: str | None) -> NativeFile | NativeCall:
        """Raise ClientError: there are no native addresses."""
        raise ClientError("the archive has no such address")

    def read_snapshot_id(self, path: str) -> NativeFile | None:
        """Return None: ids are spelt as times."""
        return None

    def is_answer(self, url: str) -> bool:
        """Return False: nothing is asked that a redirect would answer."""
        return False
