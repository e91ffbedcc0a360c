"""What a store promises. `storage` implements these on a local disk; an object store and PostgreSQL may stand behind them later.

Nothing here knows a distribution or HTTP. Times are whole seconds since the epoch, passed in by the caller: storage reads no clock
but the monotonic one it polls with. Digests are lower-case sha256 hex.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class StorageFailure(Exception):  # noqa: N818 - named for what happened, like those it is the root of
    """The store could not do what was asked; the message says what and where."""


class DraftFailed(StorageFailure):
    """The draft's writer gave it up. `reason` is the writer's own words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DraftOrphaned(StorageFailure):
    """The draft's writer is gone (its lock is free) and the file is not whole: begin again to take over."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of arriving bytes. `length` in bytes, None while unknown; validators as the source gave them."""

    source: str = ""
    length: int | None = None
    etag: str = ""
    last_modified: str = ""


class Body(Protocol):
    """Bytes that can be sent: a blob, or a draft that is still arriving. Close it exactly once."""

    @property
    def size(self) -> int | None:
        """The whole length in bytes; None while an arriving draft does not know it yet."""

    @property
    def meta(self) -> Meta:
        """What the source said (all defaults for a blob)."""

    def fileno(self) -> int | None:
        """Return a descriptor of a regular file to send from with sendfile, or None: use `chunks`.

        Ask again after each `wait`: it turns None when the disk fills while a draft arrives. The descriptor stays the
        body's own; whoever may still use it after `close` sends from a duplicate.
        """

    async def wait(self, offset: int) -> int:
        """Return how many bytes may be sent in all, waiting until that is more than `offset` or the body has ended (then == size).

        Raises DraftFailed or DraftOrphaned; never returns a count that covers bytes whose verdict is open.
        """

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`, following a draft as it arrives (raises as `wait`)."""

    def close(self) -> None:
        """Give up the descriptor."""


class Blob(Body, Protocol):
    """Whole bytes, named by their sha256."""

    @property
    def digest(self) -> str: ...

    @property
    def size(self) -> int: ...


class Blobs(Protocol):
    """The whole bytes held, by digest."""

    def peek(self, digest: str) -> Blob | None:
        """Return the blob without ever waiting; None: not here, or ask `open`."""

    async def open(self, digest: str) -> Blob | None:
        """Return the blob, None when the store does not hold it (which is also how an eviction is noticed)."""

    async def remove(self, digest: str) -> None:
        """Forget the blob; no error if it is gone already."""

    def digests(self) -> Iterator[str]:
        """Every digest held, in order."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """All bytes of a draft have been taken and hashed; the last piece is not on disk yet."""

    digest: str
    size: int


class Draft(Protocol):
    """Bytes being written by their one writer on this machine. Exactly one of `commit` and `abandon` ends it."""

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int:
        """Bytes taken so far, those left by an earlier writer included."""

    @property
    def meta(self) -> Meta: ...

    def tap(self, update: Callable[[bytes], None]) -> None:
        """Show every byte, from the first, to `update` on the writer thread. Call it before `rehash` and `write`."""

    async def rehash(self) -> None:
        """Read what an earlier writer left (size > 0) through the hash and the taps; required before the first `write`."""

    async def restart(self) -> None:
        """Throw away what an earlier writer left and begin at zero. Only before `rehash` and `write`.

        Readers of the earlier writer fail; those of this one have been shown nothing yet and go on.
        """

    async def describe(self, meta: Meta) -> None:
        """Set what is known of the arriving bytes; followers see it at once.

        A length, once told, stands: another one raises StorageFailure, since a reader may have passed it on.
        """

    async def write(self, data: bytes) -> None:
        """Take more bytes. Awaits while the writer thread is behind (back-pressure).

        Bytes become visible to followers promptly, except the last piece (up to 16 KiB), which waits for `commit`.
        With the disk full the draft goes on from a bounded window for the followers in this process, and can only be abandoned.
        """

    async def seal(self) -> Sealed:
        """All bytes are in: return what they hash to. The last piece is still held back."""

    async def commit(self) -> Blob:
        """Follow a good verdict: write the last piece, fsync, rename to the sha256, and tell the followers. Idempotent with an equal blob.

        After `full` it only releases the last piece to this process's followers and returns a blob that lives as long as it is open.
        """

    async def abandon(self, reason: str, *, keep: bool = False) -> None:
        """Follow a bad verdict, or a source that broke: fail every follower with `reason`; `keep` leaves the bytes for a later resume."""

    @property
    def full(self) -> bool:
        """Whether the disk filled up, so that nothing of this draft may be named."""

    def follow(self) -> Body:
        """Return a reader of this draft; once it has ended well, of its blob."""


@dataclass(frozen=True, slots=True)
class Writing:
    """The caller of `Drafts.begin` is the draft's one writer, and must end it."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Following:
    """Another caller, in this process or another, already writes the draft. `body` reads it; close the body."""

    body: Body


class Drafts(Protocol):
    """Everything that is arriving, by key."""

    def begin(self, key: str, *, window: int = 8 << 20) -> Writing | Following:
        """Return `Writing` to exactly one caller on the machine, and `Following` to every other caller until the draft ends.

        `window` bounds what is kept in memory once the disk is full.
        """

    def follow(self, key: str) -> Body | None:
        """Return a reader of the live draft of `key`, in whichever process it is written; None if there is none."""

    async def sweep(self, *, older_than: float) -> int:
        """Remove orphaned drafts untouched for `older_than` seconds; return how many."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name in the catalog: what stood there, and why we believe it (a rank: greater is stronger). digest '' : a recorded absence."""

    digest: str
    size: int
    proof: int
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a key, and from when to when it was seen."""

    first: int
    last: int
    value: str


class Catalog(Protocol):
    """The names. Reads are inline and quick; writes are awaited and durable when they return."""

    def name(self, space: str, name: str) -> Name | None: ...

    def names(self, space: str, *, prefix: str = "") -> list[tuple[str, Name]]:
        """Every name in the space, sorted."""

    async def put_name(self, space: str, name: str, value: Name) -> Name:
        """Name it once per proof: a stronger proof replaces a weaker one, anything else leaves what stands. Return what now stands."""

    async def drop_name(self, space: str, name: str) -> None:
        """Take a name back, and bump the epoch."""

    async def observe(self, key: str, at: int, value: str) -> None:
        """`key` had `value` at `at`: widen the neighbouring span of the same value (no other value seen between), else add one.

        Observations may come in any order. A value that turns up inside a span of another splits it. Of two at the same second
        the later told stands, and no span goes across that second. Two spans of one value side by side: another value was, or
        may have been, seen between them.
        """

    async def observe_all(self, at: int, values: Mapping[str, str]) -> None:
        """Every one of these keys had its value at `at`: as `observe`, all of them or none."""

    def around(self, key: str, at: int) -> tuple[Value | None, Value | None]:
        """Return the last span with first <= at, and the first span with first > at."""

    def keys(self, prefix: str) -> list[str]:
        """Every key with values that begins with `prefix`, sorted."""

    def fact(self, key: str, now: int) -> Any | None:
        """Return the JSON value of an expiring fact, None when absent or expired."""

    async def put_fact(self, key: str, value: Any, *, expires: int | None = None) -> None: ...

    async def update_fact(self, key: str, change: Callable[[Any | None], Any], *, takes_back: bool = False) -> Any:
        """Replace a fact that never expires by what `change` makes of it, atomically across processes; return what now stands.

        `change` runs on the writer thread inside the transaction (None: there is no such fact): it must be quick and pure,
        and may be called again. What it raises is raised here, and nothing is written. Once begun it is done, even if the
        caller is cancelled. `takes_back`: the new fact forbids what the old one allowed, so the epoch is bumped.
        """

    async def drop_fact(self, key: str) -> None: ...

    async def put_names(self, space: str, values: Mapping[str, Name]) -> None:
        """Name all of these, or none: as `put_name`, in one transaction."""

    async def drop_space(self, space: str) -> None:
        """Take back every name of a space, and bump the epoch."""

    @property
    def epoch(self) -> int:
        """A counter in shared memory that every take-back raises, in whichever process."""


class Journal(Protocol):
    """One opening of an append-only file of lines. Its lines have one order, for every process that writes to it."""

    def add(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Append lines, and return every line that came since the last look, these included, in the journal's order.

        Inline and quick: nothing waits for the disk. It is `lines` itself that is returned when nobody else has written. Raises
        StorageFailure; should that, or the process's death, cut a line off, its rest is shown as a line of its own: use lines
        of which no beginning is one.
        """

    async def sync(self) -> None:
        """Make what was appended survive a power cut."""

    def close(self) -> None: ...


class Journals(Protocol):
    """Journals by name, 32 lower-case hex digits."""

    def open(self, name: str) -> Journal:
        """Open a journal; one that nobody wrote to is empty."""

    async def remove(self, name: str) -> None:
        """Forget a journal; openings of it go on with what nobody else will read. No error if it is gone already."""


class Expiring(Protocol):
    """What may expire or be lost: JSON values under text keys."""

    async def get(self, key: str) -> Any | None: ...

    async def put(self, key: str, value: Any, *, seconds: float) -> None: ...


class Table(Protocol):
    """A sorted, memory-mapped map from name to value, as built by `TableWriter`."""

    def get(self, name: str) -> bytes | None: ...

    def items(self) -> Iterator[tuple[str, bytes]]: ...

    def close(self) -> None: ...


class Tables(Protocol):
    """Derived data: one table file per (digest, version) under the cache folder; deleting one loses nothing."""

    def open(self, digest: str, version: str) -> Table | None: ...

    def build(self, digest: str, version: str, rows: Iterable[tuple[str, bytes]]) -> None:
        """Write and atomically publish a table (called in a helper process). A name given twice with different values raises StorageFailure."""


class Slot(Protocol):
    """A taken slot. Release it once."""

    def release(self) -> None: ...


class Slots(Protocol):
    """What may be held at most so many times at once on this machine."""

    def take(self, name: str, count: int) -> Slot | None:
        """Take one of `count` slots of `name` on this machine, None when all are taken. Freed by the kernel when the process dies."""
