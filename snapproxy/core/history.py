"""The protocol of histories, the ways in which archives keep their past; implementations in `archives/histories/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from snapproxy.core.model import (
    Archive,
    HistorySettings,
    Instant,
    NeedWindow,
    ObservedRoot,
    Refusal,
    Resolved,
    TimeSpec,
    Window,
)


@dataclass(frozen=True, slots=True)
class TimelineAnswer:
    """An upstream's answer to a timeline question: its status, its Location (absolute, '' for none), its body."""

    status: int
    location: str
    body: bytes


@dataclass(frozen=True, slots=True)
class NativeFile:
    """A file named by an archive's native address: `path` (canonical, below the archive) at the time `when`."""

    when: TimeSpec
    path: str


@dataclass(frozen=True, slots=True)
class NativeCall:
    """A call of an archive's own service, as in `exchange.ServiceTarget`.

    `path` begins with a slash, is canonical and escaped, and includes its query string. `sha1` is the digest (hex) that
    the address names, '' for none. `is_listing`: the answer is the web page of a folder.
    """

    path: str
    sha1: str = ""
    is_listing: bool = False


class History(Protocol):
    """The way in which an archive keeps its past.

    It builds the requests, reads the answers and decides, without I/O.
    """

    default_settings: HistorySettings | None
    """The settings of an archive that sets none of this history's own settings.

    None if the history has no settings of its own.
    """
    native_names: frozenset[str]
    """First segments of native addresses on this proxy: no archive may have one of these names."""
    root_date_slack: int
    """Seconds by which a root may be dated after the instant of its snapshot (`core.root_checks`)."""
    is_observed: bool
    """Whether local observations are the only source for the past.

    If so, each root has snapshots of its own, and no upstream has a timeline.
    """

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Resolve `when` from the known windows, or return the missing one. Never raises."""

    def newest(
        self, archive: Archive, instant: Instant, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Instant | Refusal | NeedWindow | None:
        """Return the archive's newest snapshot at or before `instant`, settled or not; None if it has none.

        The archive's own list decides, not what was observed of its roots. Never raises.
        """

    def max_windows(self, archive: Archive) -> int:
        """Return the maximum number of windows that `resolve` requests for one time."""

    def id_of(self, instant: Instant) -> str:
        """Return the id of the snapshot taken at `instant`."""

    def timeless(self, path: str) -> str | None:
        """Return the path at which the archive keeps this same file outside every snapshot.

        None if the archive keeps it in snapshots only.
        """

    def resolve_observed_root(
        self, archive: Archive, when: TimeSpec, observed: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Resolve `when` from the observations of one root, independent of the timeline. Never raises.

        None if the observations prove nothing about that time.
        """

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return the addresses that answer `need` at this upstream base, first choice first."""

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Read the answer of one of `timeline_urls`; None if it cannot be interpreted."""

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return the address of `path` at `snapshot` under the upstream `base`.

        `path` is canonical and unescaped; the result is escaped.
        """

    def service_url(self, base: str, path: str) -> str | None:
        """Return the upstream address of a call of the archive's own service; None if it has no service.

        `path` is escaped and includes its query.
        """

    def digest_in(self, url: str) -> str | None:
        """Return the SHA-1 (hex) of the file that a URL of this history names, None if the URL has no digest."""

    def native_root(self, base: str) -> str | None:
        """Return the address below which the upstream `base` has native addresses, None if it has none.

        If this is `base` itself, every address below it is native: none has the form `<time>/<path>`.
        """

    def native_names_of(self, archive: Archive) -> frozenset[str]:
        """Return the first segments of the native addresses of one archive."""

    def read_native(self, archive: Archive, path: str, query: str | None) -> NativeFile | NativeCall:
        """Read a native address: `path` canonical, without its leading slash; `query` None without '?'.

        Raises ClientError for an address that the archive's service does not have.
        """

    def read_snapshot_id(self, path: str) -> NativeFile | None:
        """Read a snapshot id that is not written as a time, and the path after it.

        None if `path` begins otherwise. Raises ClientError for an id that cannot exist.
        """

    def is_answer(self, url: str) -> bool:
        """Return whether a redirect to `url` is itself the answer to a timeline question.

        Otherwise the answer is at `url`.
        """
