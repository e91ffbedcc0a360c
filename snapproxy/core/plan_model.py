"""What a plan is made of: the request, the questions it may ask, the facts that answer them, and the work it ends in. Frozen values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snapproxy.core.exchange import Moved
from snapproxy.core.model import LIVE, Archive, ExpectedFile, Instant, Proof, Refusal, Resolved, Role, TimeSpec

NOW = Resolved(LIVE, 0)
"""The present, resolved: it bears no instant."""

MAX_FILE = 64 << 30
"""Bytes of a file nothing promises."""

WHOLE = frozenset({Role.ROOT, Role.SIGNATURE, Role.INDEX})
"""What is verified before anything is sent, because a client takes its cut for success (rule 2)."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """One file of one archive at one time. `base` as in `exchange.FileTarget`."""

    archive: Archive
    when: TimeSpec
    path: str
    base: str = ""


# --- questions: each is hashable, and is itself the key its answer is known by ------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskWindow:
    """Which snapshots lie in this stretch? -> Window | Refusal."""

    archive: str
    start: Instant
    end: Instant
    around: Instant | None = None


@dataclass(frozen=True, slots=True)
class AskObserved:
    """What was seen of these roots around the instant, and of which others? `roots` empty: of any. -> tuple[Sighting, ...], seen latest first."""

    archive: str
    roots: tuple[str, ...]
    instant: Instant


@dataclass(frozen=True, slots=True)
class AskName:
    """What does the catalog call this? -> Held | None."""

    space: str
    path: str


@dataclass(frozen=True, slots=True)
class AskFile:
    """Obtain the first of these files of the same snapshot that exists, whole and verified. -> Held | Arriving | Refusal | None (none exists).

    `to_vouch`: it is wanted for what it says of another file.
    """

    space: str
    candidates: tuple[str, ...]
    resolved: Resolved
    to_vouch: bool = False


@dataclass(frozen=True, slots=True)
class AskListed:
    """What does this index promise under this name? -> Promise | None, or a Refusal when the index cannot be read."""

    space: str
    digest: str
    index: str
    name: str


@dataclass(frozen=True, slots=True)
class AskListedAnywhere:
    """What do the indexes already served at this snapshot promise for a package? -> Vouched | None."""

    space: str
    path: str


@dataclass(frozen=True, slots=True)
class AskSize:
    """Does the store hold these bytes? -> their size, or None."""

    digest: str


@dataclass(frozen=True, slots=True)
class AskAlias:
    """Which bytes, once verified, had this other digest: anybody's if it is strong, else this archive's? -> their sha256, or None."""

    archive: str
    algorithm: str
    digest: str


Ask = AskWindow | AskObserved | AskName | AskFile | AskListed | AskListedAnywhere | AskSize | AskAlias


# --- facts ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose bytes are in the store. `notes` are headers that travel with it (a live set that is stale says so)."""

    path: str
    digest: str
    size: int
    proof: Proof
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotStored:
    """A file that exists and is not in the store: it streams, or the disk is full. It can be served by its own fetch, and vouches for nothing."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A promise and how far it can be believed. `notes` are those of the file it stands in."""

    expected: ExpectedFile
    proof: Proof
    notes: Mapping[str, str] = field(default_factory=dict)


class UnknownError(Exception):
    """Unwinds a decision to the questions it lacks; never leaves the functions that plan."""

    def __init__(self, *asks: Ask) -> None:
        self.asks = asks


@dataclass(frozen=True)
class Known:
    """What has been learned so far, question by question."""

    facts: Mapping[Ask, Any] = field(default_factory=dict)

    def fact(self, ask: Ask) -> Any:
        """Return the answer to a question. Raises UnknownError while it is open."""
        if ask not in self.facts:
            raise UnknownError(ask)
        return self.facts[ask]

    def plus(self, learned: Mapping[Ask, Any]) -> Known:
        """Return a Known that knows this as well."""
        return Known({**self.facts, **learned})


# --- plans ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Need:
    """The plan cannot be made before these are answered; they do not depend on one another."""

    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer from the store. `name_it`: the catalog does not yet know the file by this name. `also` as in Fetch."""

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


@dataclass(frozen=True, slots=True)
class Source:
    """One place the bytes may come from. `last_resort`: the archive's own history, asked when nobody else has it.

    `is_holder`: it is none of the archive's, and knows the bytes by their digest alone (`core.blob_sources`). It is a help that must
    never harm: nobody waits for it while another is left, and that it lacks a file says nothing of the archive.
    """

    url: str
    base: str
    last_resort: bool
    is_blob_source: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring the bytes, from the first source that has them, and check them against `promise` if there is one.

    `whole`: verified before anything is sent. `key` names the flight.
    `also`: the path by which the file is named outside every snapshot as well, '' for none.
    `name_it`: whether the catalog is to know the file by this name; else it is found by its digest for as long as the store has it.
    `most`: the bytes that a file nothing promises may have. `is_page`: a web page would be a proper answer.
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
        """What a verdict belongs to: these bytes, for this snapshot. Another one that promises the same has other sources to ask."""
        return f"{self.space}/{self.path if self.expected is None else self.expected.path} {self.key}"

    @property
    def whole(self) -> bool:
        """Only packages, and what nothing names, may stream while they arrive."""
        return self.role in WHOLE


Step = Need | Serve | Fetch | Refusal | Moved
