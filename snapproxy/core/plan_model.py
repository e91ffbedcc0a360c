"""The values of a plan.

They are the request, its possible questions, the facts that answer them, and the resulting work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from snapproxy.core.exchange import Moved
from snapproxy.core.expected_files import DroppedEntry
from snapproxy.core.model import (
    LIVE,
    Archive,
    ExpectedFile,
    Instant,
    ObservedRoot,
    Proof,
    Refusal,
    Resolved,
    Role,
    TimeSpec,
    Window,
)

T = TypeVar("T")

NOW = Resolved(LIVE, 0)
"""The current state of the archive, which has no instant."""

MAX_FILE = 64 << 30
"""Maximum size in bytes of a file that no index lists."""

MAX_ROOT = 64 << 20
"""Maximum size in bytes of a root; the largest known is below 1 MiB."""

WHOLE = frozenset({Role.ROOT, Role.SIGNATURE, Role.INDEX})
"""Roles whose files are verified before the first byte is sent: a client accepts a truncated one as complete (rule 2).
"""


def reported_space(space: str, resolved: Resolved) -> str:
    """Return `<archive>/<snapshot>` as answers and records name it; `space` is the catalog's."""
    return f"{space.partition('/')[0]}/{resolved.reported}" if resolved.reported else space


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """One file of one archive at one time. `base` is the field of `exchange.FileTarget`."""

    archive: Archive
    when: TimeSpec
    path: str
    base: str = ""


# --- facts


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose bytes are in the store.

    `notes` are headers that are sent with it, such as the mark of a stale live file.
    """

    path: str
    digest: str
    size: int
    proof: Proof
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotStored:
    """A file that exists but is not in the store: it still streams, or the disk is full.

    It can be served by its own fetch, and proves nothing about other files.
    """


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as an index lists it, and the proof that the index gives. `notes` are the headers sent with that index."""

    expected: ExpectedFile
    proof: Proof
    notes: Mapping[str, str] = field(default_factory=dict)


# --- questions: each is hashable, and is the key under which its answer is known


class Ask(Generic[T]):
    """A question whose answer is a `T`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AskWindow(Ask[Window | Refusal]):
    """Ask for the snapshots in a stretch of the timeline."""

    archive: str
    start: Instant
    end: Instant
    around: Instant | None = None


@dataclass(frozen=True, slots=True)
class AskObserved(Ask[tuple[ObservedRoot, ...]]):
    """Ask for the observations of these roots around an instant, the latest first. Empty `roots` mean every root."""

    archive: str
    roots: tuple[str, ...]
    instant: Instant


@dataclass(frozen=True, slots=True)
class AskName(Ask[StoredFile | None]):
    """Ask for the stored file that has this name in the catalog."""

    space: str
    path: str


@dataclass(frozen=True, slots=True)
class AskLacking(Ask[bool]):
    """Ask whether upstream lacked this file when the snapshot was observed."""

    space: str
    path: str


@dataclass(frozen=True, slots=True)
class AskFile(Ask[StoredFile | NotStored | Refusal | None]):
    """Ask for the first of these files of one snapshot that exists, whole and verified; None if all are absent.

    `for_lookup`: the file is needed to look up other files, not for itself.
    """

    space: str
    candidates: tuple[str, ...]
    resolved: Resolved
    for_lookup: bool = False


@dataclass(frozen=True, slots=True)
class AskListed(Ask[ExpectedFile | DroppedEntry | Refusal | None]):
    """Ask what an index lists under a name. A Refusal if the index cannot be read."""

    space: str
    digest: str
    index: str
    name: str


@dataclass(frozen=True, slots=True)
class AskListedAnywhere(Ask[ListedFile | DroppedEntry | None]):
    """Ask for the entry of a package in the indexes that were served at this snapshot."""

    space: str
    path: str


@dataclass(frozen=True, slots=True)
class AskSize(Ask[int | None]):
    """Ask for the size of stored bytes, None if they are not stored."""

    digest: str


@dataclass(frozen=True, slots=True)
class AskAlias(Ask[str | None]):
    """Ask for the SHA-256 of the verified bytes that have another digest.

    For a strong digest the bytes of any archive count, for a weak one only those of this archive.
    """

    archive: str
    algorithm: str
    digest: str


AnyAsk = AskWindow | AskObserved | AskName | AskLacking | AskFile | AskListed | AskListedAnywhere | AskSize | AskAlias


# --- plans


@dataclass(frozen=True, slots=True)
class Need:
    """The decision needs the answers to these questions first. They do not depend on one another."""

    asks: tuple[AnyAsk, ...]


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer from the store.

    `name_it`: the catalog has no entry for this name yet. `also` is the field of `Fetch`.
    """

    space: str
    path: str
    digest: str
    size: int
    proof: Proof
    role: Role
    resolved: Resolved
    name_it: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    also: str = ""

    @property
    def reported_space(self) -> str:
        """The snapshot as answers and records name it, `<archive>/<snapshot>`."""
        return reported_space(self.space, self.resolved)


@dataclass(frozen=True, slots=True)
class Source:
    """One address that may have the bytes. `last_resort`: the archive's own history, tried after every other source.

    `is_blob_source`: it is not a server of the archive and has the bytes by their digest only (`core.blob_sources`). It
    is optional: it is tried first and abandoned at the first delay while another source is left, and its 404 has no
    information about the archive.
    """

    url: str
    base: str
    last_resort: bool
    is_blob_source: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """Download a file from the first source that has it, and check it against `expected` if an index lists it.

    `key` names the flight. `name_it`: record this name in the catalog; otherwise the file is found by its digest only,
    while the store has it. `also`: the path of the file outside every snapshot, which is recorded as well; '' for none.
    `most`: the maximum size in bytes of a file that no index lists. `is_page`: a web page is an acceptable answer.
    """

    key: str
    space: str
    path: str
    sources: tuple[Source, ...]
    role: Role
    proof: Proof
    resolved: Resolved
    expected: ExpectedFile | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    also: str = ""
    name_it: bool = True
    most: int = MAX_FILE
    is_page: bool = False

    @property
    def question(self) -> str:
        """The key of this fetch's outcome, for these bytes at this snapshot.

        Another snapshot has other sources for the same bytes.
        """
        return f"{self.space}/{self.path if self.expected is None else self.expected.path} {self.key}"

    @property
    def reported_space(self) -> str:
        """The snapshot as answers and records name it, `<archive>/<snapshot>`."""
        return reported_space(self.space, self.resolved)

    @property
    def whole(self) -> bool:
        """Whether the file is verified before its first byte is sent. Only packages and unlisted files may stream."""
        return self.role in WHOLE


Step = Serve | Fetch | Refusal | Moved
"""A finished plan."""
