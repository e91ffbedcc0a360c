"""The nouns every room shares. Frozen values only; what is decided with them stands in the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Protocol

from snapproxy.core.blob_sources import BlobSource
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import Scheme

#: Seconds since 1970-01-01T00:00:00Z. Every time inside snapproxy is one of these.
Instant = int

LIVE = "live"
"""The snapshot id of the archive as it is now."""

TIMELESS = "always"
"""The snapshot id of what an archive keeps outside every snapshot, each file for ever the same."""

STRONG = ("sha512", "sha256")
"""Digests that let another source stand in for the promised one, strongest first. Any other detects damage, and tells apart what one archive has."""


class Match(Enum):
    """How a *when* may be satisfied."""

    HELD = "held"
    """What the archive held at that instant: the newest snapshot at or before it, provided the instant is settled."""
    EXACT = "exact"
    """Only by a snapshot that bears this very instant."""
    NEAREST = "nearest"
    """By the newest settled snapshot at or before it, however old."""
    LATEST = "latest"
    """By the newest settled snapshot there is."""
    LIVE = "live"
    """By the present: no time travel."""


@dataclass(frozen=True, slots=True)
class TimeSpec:
    """A time as a client asked for it. `instant` is None for live and latest.

    `verbatim`: the address names a folder of the archive itself (`text`, whose last second is `instant`), or one that belongs to
    no time (no `instant`): there is nothing to be resolved, and nothing is ever walked back.
    """

    text: str
    instant: Instant | None
    match: Match
    verbatim: bool = False


class Role(StrEnum):
    """What a file is to its archive."""

    ROOT = "root"
    """The file that changes and vouches for the rest (InRelease)."""
    SIGNATURE = "signature"
    """A detached signature of a root."""
    INDEX = "index"
    """A file a root names."""
    PACKAGE = "package"
    """A file an index names."""
    OTHER = "other"
    """A file nothing names."""


class Proof(IntEnum):
    """Why we believe bytes; a greater one is stronger."""

    NONE = 0
    DIGEST = 1
    INDEX = 2
    GPG = 3

    @property
    def word(self) -> str:
        """The word that `X-Snapproxy-Verified` carries."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """What an index vouches for. `size` is in bytes, None where the index does not say; `digests` maps algorithm to lower-case hex."""

    path: str
    size: int | None
    digests: Mapping[str, str]

    @property
    def is_strong(self) -> bool:
        """Whether bytes from anywhere may stand in once they match."""
        return self.strong is not None

    @property
    def strong(self) -> tuple[str, str] | None:
        """The (algorithm, hex) that names the bytes best: sha256, by which the store itself names them, else another strong one."""
        return next(((name, self.digests[name]) for name in ("sha256", *STRONG) if name in self.digests), None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path stands in a repository, as its family reads it from the path alone.

    `roots`: the roots that could vouch for it, most likely first (empty for packages: any root may).
    `parents`: indexes that promise it by position (an installer's SHA256SUMS), most likely first.
    `by_hash`: (algorithm, hex) when the path names its own digest.
    `has_promises`: whether this file is itself an index of further promises.
    `may_be_unlisted`: some archives have such files and list them nowhere, so that not being listed proves no absence
    (old Debian's Contents and translations, Ubuntu's lists of installer images).
    `series`: what successive versions of an index have in common, when their paths differ (rpm's bear their checksums); '' means the path.
    `leads_elsewhere`: a list of today's servers, or of today's digests: never served, a client would follow it out of its pin.
    """

    role: Role
    roots: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    by_hash: tuple[str, str] | None = None
    lists_files: bool = False
    may_be_unlisted: bool = False
    series: str = ""
    leads_elsewhere: bool = False


class Checker(Protocol):
    """Judges bytes against a promise while they pass. Pure and incremental."""

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""

    def finish(self) -> str | None:
        """Return None when the promise is kept, else our own short words for what differs."""


class Family(Protocol):
    """A package manager's format and its client's habits. Pure; one implementation a file in `families/`."""

    name: str
    patience: float
    """Seconds a client keeps waiting for a head before it gives up."""
    parser: str
    """Version of `indexes`: tables built by another version are built again."""
    keeps_newer_root: bool
    """Whether the client silently stays with a newer root it already holds, so that the pin must refuse it (409)."""
    how_to_clear_lists: str
    """How a user removes the roots and indexes that the client keeps, as a sentence; '' if the client never needs it."""
    mirror_list_hint: str
    """What a user configures in place of a list of mirrors, as a sentence; '' if the client has no such lists."""
    drops_older_dates: bool
    """Whether the client throws away a root or an index, in silence, whose Last-Modified is older than its own copy's."""
    roots_list_packages: bool
    """Whether roots promise packages themselves, with no index between."""
    purl_type: str
    """What package URLs call its packages (the types of github.com/package-url/purl-spec)."""
    tells_root_dates: bool
    """Whether the client may be told a root's date (Last-Modified). Not where it would take it for something else, and keep an old root."""

    @property
    def scheme(self) -> Scheme:
        """Return how the roots are signed."""

    def classify(self, path: str) -> Place:
        """Say what `path` (relative to the archive, already normalised) is. Total: an unknown shape is OTHER."""

    def read_index(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, ExpectedFile]]:
        """Read the index or root at `path` from its raw bytes, and yield (name, promise).

        `name` is the path it may be asked by, relative to the archive: the canonical one, and every by-hash one.
        A promise's own `path` is always the canonical one. Raises ArchiveDataError when the bytes break the format
        or a bound (unpacked size, ratio, counts, line length).
        """

    def checker(self, expected: ExpectedFile) -> Checker:
        """Return a fresh checker for `promise`, which judges its size and every digest it gives: what passes is found again by them."""

    def lasting_path(self, expected: ExpectedFile) -> str:
        """Return the name under which a mirror keeps the promised bytes longest (apt: an index's by-hash name, a package's own)."""

    def root_date(self, data: bytes) -> Instant | None:
        """Return when the root says it was published, None if it does not."""

    def signature(self, path: str) -> str | None:
        """Return the path of the detached signature of the root at `path`, None when the root carries its own."""

    def package_name(self, path: str) -> PackageName | None:
        """Return what the file name of the package at `path` says of it; None for every other file. Total."""


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """Base class of the settings that one history alone has, each defined beside its history."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One row of the archive table. Times are in seconds.

    `hosts`: what the proxy form recognises, `host/prefix` patterns; `*` matches within a label or as the whole host.
    `scope`: how many leading path segments stand before the snapshot id in an upstream address.
    `frozen`: the archive has ended, so its last snapshot answers for every later instant.
    `first`: the earliest instant, where the history itself cannot tell.
    `history_settings`: settings that the archive's history alone has; None for that history's defaults.
    `sources`: who is asked for promised bytes, by their digest, before any of its upstreams.
    `redirects`: hosts, beyond its own, that its upstreams may redirect to; a leading `*.` stands for every host below.
    `bad`: instants that are not to be used; `because` is what is told of those that were marked by hand.
    `keeps_packages`: whether a package that a client was served is named at its snapshot, and so held there for good.
    """

    name: str
    family: str
    history: str
    snapshot: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    sources: tuple[BlobSource, ...] = ()
    hosts: tuple[str, ...] = ()
    keyrings: tuple[str, ...] = ()
    redirects: tuple[str, ...] = ()
    max_gap: int = 48 * 3600
    settle_after: int = 24 * 3600
    frozen: bool = False
    first: Instant | None = None
    scope: int = 0
    history_settings: HistorySettings | None = None
    bad: tuple[Instant, ...] = ()
    because: tuple[tuple[Instant, str], ...] = ()
    keeps_packages: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision not to answer. `reason` is ours, ASCII, at most 80 characters; the body is `reason`, `why`, `hint`, a line each."""

    status: int
    reason: str
    why: str = ""
    hint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_absence(self) -> bool:
        """Whether it says that there is no such file."""
        return self.status == 404  # noqa: PLR2004 (HTTP's own number)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A *when*, settled: the snapshot that answers it, and the span of instants known to have the same answer.

    `valid` includes both of its ends; None: nothing is known beyond the snapshot itself.
    """

    snapshot: str
    instant: Instant
    valid: tuple[Instant, Instant] | None = None
    note: str = ""
    """Told to the client in `X-Snapproxy-Note`: a bad snapshot passed over, a nearest one chosen."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time at both of whose ends one root was seen to be the same, and never another in between.

    `snapshot` is the id under which what was seen is kept.
    """

    first: Instant
    last: Instant
    snapshot: str


@dataclass(frozen=True, slots=True)
class ObservedRoot:
    """What was seen of one root around an instant.

    `before` is the newest good span that begins at or before it, `after` the first good one that begins later; `passed` is when
    the newest span began that is marked bad and lies between `before` and the instant.
    """

    root: str
    before: Span | None
    after: Span | None
    passed: Instant | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a timeline that was asked for: every snapshot with start <= instant < end, ascending, as told at `asked`.

    `after` is the first snapshot at or after `end`, where the answer told of it too: proof that the record had passed `end`.
    A history that cannot list may answer with a narrower stretch than was needed. `filled`: the archive adds nothing to such a
    stretch once something stands in it (a folder a day), so that no later snapshot is needed as a proof.
    """

    start: Instant
    end: Instant
    instants: tuple[Instant, ...]
    asked: Instant
    after: Instant | None = None
    filled: bool = False


@dataclass(frozen=True, slots=True)
class NeedWindow:
    """The resolver cannot answer without this stretch of the archive's timeline.

    `around` is the instant the question turns on, never later than now: the newest snapshot at or before it is what a history
    that cannot list should find out. Needs of one stretch may differ in it; a full answer serves them all.
    """

    start: Instant
    end: Instant
    around: Instant | None = None
