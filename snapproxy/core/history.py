"""How an archive remembers: the protocol of the histories, one a file in `archives/histories/`."""

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
    """An upstream's answer to a timeline question: its status, its Location (absolute, '' when none), its body."""

    status: int
    location: str
    body: bytes


@dataclass(frozen=True, slots=True)
class NativeFile:
    """A file that a history's native address names: `path` (canonical, below the archive) at the time `when`."""

    when: TimeSpec
    path: str


@dataclass(frozen=True, slots=True)
class NativeCall:
    """A question to an archive's own service, as `exchange.ServiceTarget` describes it.

    `path` begins with a slash, is canonical and escaped, and carries its query string. `sha1` is the digest (hex) that the address
    names, '' for none. `is_listing`: the answer is the web page of a folder.
    """

    path: str
    sha1: str = ""
    is_listing: bool = False


class History(Protocol):
    """How an archive remembers. Pure: says what to ask, reads the answer, and decides."""

    default_settings: HistorySettings | None
    """The settings of an archive that states none of this history's own settings; None if the history has no settings."""
    native_names: frozenset[str]
    """First segments of native addresses on this proxy: no archive may have one of these names."""
    is_observed: bool
    """Whether its whole memory is what was seen here: no upstream can be asked for the past, and each root has snapshots of its own."""

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Settle `when` from what is known, or say what is missing. Total: never raises."""

    def id_of(self, instant: Instant) -> str:
        """Return the id of the snapshot taken at `instant`."""

    def timeless(self, path: str) -> str | None:
        """Return the path under which the archive keeps this very file outside every snapshot, None where it keeps it nowhere else."""

    def resolve_seen(
        self, archive: Archive, when: TimeSpec, sighting: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Settle `when` by what was seen of one root, whatever the timeline says; None when that proves nothing. Total."""

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return the addresses that answer `need` at this upstream base, first choice first."""

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Read what one of `timeline_urls` said; None when it cannot be made out."""

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return where `path` at `snapshot` is found under the upstream `base`. `path` is canonical and unescaped; the result is escaped."""

    def service_url(self, base: str, path: str) -> str | None:
        """Return where a call of the history's own API is made (`path` escaped, with its query); None when it has no API."""

    def digest_in(self, url: str) -> str | None:
        """Return the SHA-1 (hex) that an address of this history says its bytes have, None when it says none."""

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
        """Read a snapshot id that is not spelt as a time, and the path after it; None if `path` begins otherwise.

        Raises ClientError for an id that cannot exist.
        """

    def is_answer(self, url: str) -> bool:
        """Whether a redirect to `url` is itself the answer to a timeline question, and not where the answer lies."""
