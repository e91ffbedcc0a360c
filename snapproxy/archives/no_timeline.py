"""The common part of histories without a timeline to request: `any-instant` and `captured`.

Their snapshot ids are instants. Each history resolves times in its own way.
"""

from __future__ import annotations

from snapproxy.core.history import NativeCall, NativeFile, TimelineAnswer
from snapproxy.core.model import Archive, HistorySettings, Instant, NeedWindow, Window
from snapproxy.core.paths import snapshot_url
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ClientError


class NoTimeline:
    """The part of a `History` that builds requests and reads answers. It has no requests."""

    default_settings: HistorySettings | None = None
    native_names: frozenset[str] = frozenset()

    def max_windows(self, archive: Archive) -> int:
        """Return 0: the upstream has no timeline."""
        return 0

    def id_of(self, instant: Instant) -> str:
        """Return the formatted instant."""
        return format_instant(instant)

    def timeless(self, path: str) -> str | None:
        """Return None: every file is part of a snapshot."""
        return None

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return nothing: the upstream has no timeline."""
        return ()

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return None: nothing was requested."""
        return None

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return `base/<scope>/<snapshot>/<path>`; the archive's `scope` is the number of segments before the id."""
        return snapshot_url(base, snapshot, path, archive.scope)

    def service_url(self, base: str, path: str) -> str | None:
        """Return None: the upstream has files only."""
        return None

    def digest_in(self, url: str) -> str | None:
        """Return None: no address contains a digest."""
        return None

    def native_root(self, base: str) -> str | None:
        """Return None: every address has the form `<time>/<path>`."""
        return None

    def native_names_of(self, archive: Archive) -> frozenset[str]:
        """Return an empty set: the history has no native addresses."""
        return frozenset()

    def read_native(self, archive: Archive, path: str, query: str | None) -> NativeFile | NativeCall:
        """Raise ClientError: the history has no native addresses."""
        raise ClientError("the archive has no such address")

    def read_snapshot_id(self, path: str) -> NativeFile | None:
        """Return None: ids are written as times."""
        return None

    def is_answer(self, url: str) -> bool:
        """Return False: no question is answered by a redirect."""
        return False
