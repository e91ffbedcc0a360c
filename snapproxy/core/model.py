"""The values and protocols that all packages share.

Frozen values only; the other modules of `core` use them to make decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from functools import cached_property
from typing import Protocol

from snapproxy.core.blob_sources import BlobSource
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import Scheme
from snapproxy.errors import Drop, refuse_entry

#: Seconds since 1970-01-01T00:00:00Z. Every time inside snapproxy is one of these.
Instant = int

LIVE = "live"
"""The snapshot id of the archive as it is now."""

TIMELESS = "always"
"""The snapshot id of files that an archive keeps outside every snapshot; such a file never changes."""

STRONG = ("sha512", "sha384", "sha256", "sha224")
"""Digests that allow another source to supply the bytes, strongest first: the SHA-2 family.

No collision of them is feasible (2^112 steps for sha224, the weakest). Any other digest detects damage, and
distinguishes between versions within one archive.
"""


WEAK = frozenset({"md5", "sha1"})
"""Digests for which two files can be made. A file that an index lists by these alone has no proof `gpg`.

A digest of a family's own kind is not among them: it is as strong as the signatures of the indexes that list it.
"""


class Match(Enum):
    """The rule by which a snapshot satisfies a requested time."""

    AT = "at"
    """The newest snapshot at or before that instant, provided the instant is settled."""
    EXACT = "exact"
    """Only a snapshot with exactly this instant."""
    NEAREST = "nearest"
    """The newest settled snapshot at or before that instant, however old."""
    LATEST = "latest"
    """The newest settled snapshot."""
    LIVE = "live"
    """The archive as it is now."""


@dataclass(frozen=True, slots=True)
class TimeSpec:
    """A time as requested by a client. `instant` is None for live and latest.

    `verbatim`: the address names a folder of the archive itself (`text`; its last second is `instant`), or a folder
    that is independent of time (no `instant`). Such an address is not resolved and never replaced by an earlier
    snapshot.
    """

    text: str
    instant: Instant | None
    match: Match
    verbatim: bool = False


class Role(StrEnum):
    """The role of a file in its archive."""

    ROOT = "root"
    """The file that changes and lists the other files, directly or through indexes."""
    SIGNATURE = "signature"
    """A detached signature of a root."""
    INDEX = "index"
    """A file that a root lists."""
    PACKAGE = "package"
    """A file that an index lists."""
    OTHER = "other"
    """A file that no root or index lists."""


class Proof(IntEnum):
    """The strength of the evidence for bytes; a greater value is stronger."""

    NONE = 0
    DIGEST = 1
    INDEX = 2
    GPG = 3

    @cached_property
    def word(self) -> str:
        """The value of `X-Snapproxy-Verified`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file as an index lists it.

    `size` is in bytes, None if the index has none; `digests` maps algorithm to lower-case hex.
    """

    path: str
    size: int | None
    digests: Mapping[str, str]

    @property
    def is_strong(self) -> bool:
        """Whether any source may supply the bytes, because a strong digest verifies them."""
        return self.strong is not None

    def proof_by(self, index: Proof) -> Proof:
        """Return the proof of this file, listed by an index of the proof `index`.

        It is `gpg` only if every step from the signed root to the file has a digest that is not weak.
        """
        return Proof.GPG if index is Proof.GPG and self.digests.keys() - WEAK else Proof.INDEX

    @property
    def strong(self) -> tuple[str, str] | None:
        """The best strong digest as (algorithm, hex); None if there is none.

        SHA-256 if present, because the store uses it, otherwise another strong digest.
        """
        return next(((name, self.digests[name]) for name in ("sha256", *STRONG) if name in self.digests), None)


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a path in a repository, as its family derives it from the path alone.

    `roots`: the roots that may list it, most likely first (empty for packages: any root may).

    `parents`: indexes that list it by position (an installer's SHA256SUMS), most likely first.

    `by_hash`: (algorithm, hex) if the path names its own digest.

    `lists_files`: whether this file is itself an index.

    `may_be_unlisted`: some archives have such files and list them in no index, so a missing entry does not prove that
    the file is absent.

    `series`: the common name of successive versions of an index whose paths differ (such as by a checksum); '' means
    the path.

    `leads_elsewhere`: a list of present servers or digests. Never served: a client that follows it is no longer pinned.
    """

    role: Role
    roots: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    by_hash: tuple[str, str] | None = None
    lists_files: bool = False
    may_be_unlisted: bool = False
    series: str = ""
    leads_elsewhere: bool = False

    @property
    def is_unlisted(self) -> bool:
        """Whether no root or index lists such a file: a key beside the repository, a changelog."""
        is_beside = self.role in (Role.INDEX, Role.SIGNATURE) and not self.roots and not self.parents
        return self.role is Role.OTHER or is_beside


class Checker(Protocol):
    """Verifies a stream of bytes against an expected file, incrementally and without I/O."""

    def update(self, data: bytes | memoryview) -> None:
        """Process the next bytes."""

    def finish(self) -> str | None:
        """Return None if size and digests match, otherwise a short fixed text that names the difference."""


class Family(Protocol):
    """A package manager's format and its client's behaviour.

    Its methods do no I/O. There is one implementation per folder in `families/`.
    """

    name: str
    patience: float
    """Seconds that a client waits for the head of an answer before it gives up."""
    parser: str
    """The version of `read_index`: index tables built by another version are built again."""
    keeps_newer_root: bool
    """Whether the client silently keeps a newer root that it already has.

    If so, an older one must be refused (409).
    """
    how_to_clear_lists: str
    """How a user removes the client's stored roots and indexes, as a sentence; '' if it is never needed."""
    mirror_list_hint: str
    """The setting to use in place of a list of mirrors, as a sentence; '' if the client has no such lists."""
    drops_older_dates: bool
    """Whether the client silently drops a root or an index with a Last-Modified older than its own copy's."""
    roots_list_packages: bool
    """Whether roots list packages themselves, without an index between."""
    purl_type: str
    """The type of its packages in package URLs (the types of github.com/package-url/purl-spec)."""
    waits_for_challenge: bool
    """Whether clients send the credentials for a proxy only after a 407.

    If so, a request without credentials does not show that the client has none.
    """
    tells_root_dates: bool
    """Whether a root may be sent with a date (Last-Modified).

    False if the client would misinterpret the date and keep an old root.
    """

    def __hash__(self) -> int: ...

    @property
    def scheme(self) -> Scheme:
        """Return the signature scheme of the roots."""

    def classify(self, path: str) -> Place:
        """Return the place of `path` (relative to the archive, already normalised).

        Never raises; an unknown path has the role OTHER.
        """

    def read_index(
        self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry
    ) -> Iterator[tuple[str, ExpectedFile]]:
        """Read the index or root at `path` from its raw bytes, and yield (name, expected file).

        `name` is a path by which a client may request it, relative to the archive: the canonical one, and every by-hash
        one. The expected file's own `path` is always the canonical one.

        Entries that cannot be used are given to `drop`: malformed ones, those that name a file outside the archive, and
        contradictory ones. A path that `drop` was given has no expected file, even if it was yielded before. Raises
        ArchiveDataError if the bytes break the format or a bound (unpacked size, ratio, counts, line length).
        """

    def checker(self, expected: ExpectedFile) -> Checker:
        """Return a new checker for `expected`, which verifies its size and every digest.

        Bytes that were verified are looked up by these digests later.
        """

    def lasting_path(self, expected: ExpectedFile) -> str:
        """Return the name under which a mirror keeps these bytes longest.

        For example the by-hash name of an index or the file name of a package.
        """

    def root_date(self, data: bytes) -> Instant | None:
        """Return the publication date in the root, None if it has none."""

    def contradiction(self, path: str, data: bytes) -> str:
        """Return the names in the root that contradict its path, for a message; '' if it may belong there.

        Never raises.
        """

    def signature(self, path: str) -> str | None:
        """Return the path of the detached signature of the root or package at `path`.

        None if the family has no detached signatures of such files.
        """

    def signed_file(self, path: str) -> str | None:
        """Return the path of the package, or of the file that no index lists, whose detached signature is at `path`.

        None for any other path.
        """

    def beside_root(self, path: str) -> tuple[str, ...]:
        """Return the paths of files that archives publish beside the root at `path` and that no root lists."""

    def root_forms(self, path: str) -> tuple[str, ...]:
        """Return the paths at which the root at `path` may exist, itself included, in the order of its clients.

        A client requests the next form if the archive lacks the one before it.
        """

    def package_name(self, path: str) -> PackageName | None:
        """Parse the file name of the package at `path`; None for every other file. Never raises."""


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """Base class of the settings of one history; each subclass is defined with its history."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive of the table. Times are in seconds.

    `snapshot`: upstream bases of the past, best first. `mirrors`: upstream bases of the present.

    `sources`: blob sources, from which expected bytes are requested by digest before any upstream.

    `hosts`: the addresses recognised in the proxy form, `host/prefix` patterns; `*` matches within a label, as the
    whole host, or within a segment of the prefix.

    `keyrings`: files or folders of public keys that sign the roots.

    `redirects`: hosts, beyond its own, that its upstreams may redirect to; a leading `*.` matches every host below.

    `max_gap`: the maximum time between two snapshots within which an instant is answered. `settle_after`: the age at
    which the newest snapshot is settled.

    `frozen`: the archive has ended, so its last snapshot answers for every later instant.

    `first`: the earliest instant, if the history itself cannot determine it.

    `scope`: the number of leading path segments before the snapshot id in an upstream address.

    `history_settings`: settings of the archive's history; None for that history's defaults.

    `bad`: instants that must not be used; `because` has the reasons of those that were marked by hand.

    `credentials`: where the login for its bases is, `file:/PATH` or `systemd:NAME`; None for none.
    `credentials_over_http`: whether the login may be sent to a base of plain http.

    `upstream_ca`: a file of certificate authorities that its upstreams may have besides the system's; None for the
    general one.

    `keeps_packages`: whether a package that was served is recorded under its snapshot and therefore kept permanently.
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
    credentials: str | None = None
    credentials_over_http: bool = False
    upstream_ca: str | None = None
    keeps_packages: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision not to answer.

    `reason` is a fixed text, ASCII, at most 80 characters; the body is `reason`, `why`, `hint`, one line each.
    `is_unobserved`: nothing is known about the file at that time, so this is not an absence. `is_wait`: nothing failed,
    the request only has to wait longer than its client does: for a cool-down, a queue, or bytes that are arriving.
    `is_foreign`: the client tried to reach a host past the archives.
    """

    status: int
    reason: str
    why: str = ""
    hint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_unobserved: bool = False
    is_wait: bool = False
    is_foreign: bool = False

    @property
    def is_absence(self) -> bool:
        """Whether the refusal states that there is no such file."""
        return self.status == 404  # noqa: PLR2004 (HTTP's own number)

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed soon. A bad signature or an address without the file stays as it is."""
        return "Retry-After" in self.headers


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolved time: the snapshot that answers it, and the span of instants known to have the same answer.

    `valid` includes both of its ends; None: nothing is known beyond the snapshot itself.
    """

    snapshot: str
    instant: Instant
    valid: tuple[Instant, Instant] | None = None
    note: str = ""
    """The text of `X-Snapproxy-Note`: a bad snapshot was skipped, a nearest one chosen."""
    reported: str = ""
    """The id in answers and records, '' for `snapshot`.

    An observation is stored under the instant at which its root was first seen, which another store may not have seen.
    """
    is_for_one_root: bool = False
    """Whether the answer is proved for one root and the files that it lists, not for the whole archive."""

    @property
    def answers(self) -> Instant:
        """The newest instant that this snapshot is known to be named by."""
        return self.valid[1] if self.reported and self.valid is not None else self.instant

    @property
    def name(self) -> str:
        """The id in answers and records; it depends on the requested time and the archive alone."""
        return self.reported or self.snapshot


@dataclass(frozen=True, slots=True)
class Span:
    """A period at both ends of which a root was observed to be the same, without another root observed in between.

    `snapshot` is the id under which the observation is stored. `is_absence`: upstream had no such root.
    """

    first: Instant
    last: Instant
    snapshot: str
    is_absence: bool = False


@dataclass(frozen=True, slots=True)
class ObservedRoot:
    """The observations of one root around an instant.

    `before` is the newest good span that begins at or before it, `after` the first good one that begins later; `passed`
    is the beginning of the newest span that is marked bad and lies between `before` and the instant.
    """

    root: str
    before: Span | None
    after: Span | None
    passed: Instant | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A requested part of a timeline: every snapshot with start <= instant < end, ascending, as known at `asked`.

    `after` is the first snapshot at or after `end`, if the answer included it: proof that the archive was still
    recorded at `end`. A history that cannot list snapshots may return a narrower window than was needed. `filled`: the
    window gets no second snapshot (one folder a day), so no later snapshot is needed as proof.
    """

    start: Instant
    end: Instant
    instants: tuple[Instant, ...]
    asked: Instant
    after: Instant | None = None
    filled: bool = False


@dataclass(frozen=True, slots=True)
class NeedWindow:
    """The part of the archive's timeline that the resolver needs.

    `around` is the instant in question, never later than now: a history that cannot list snapshots should find the
    newest one at or before it. Needs for the same window may differ in `around`; one complete answer satisfies all of
    them.
    """

    start: Instant
    end: Instant
    around: Instant | None = None
