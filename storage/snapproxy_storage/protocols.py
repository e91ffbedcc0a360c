"""The contract of a store: protocols, value types and errors. Every implementation must give these guarantees.

This package implements the protocols on a local disk. An object store (blobs, drafts) and a PostgreSQL database
(catalog) can implement them as well. `tests/stores` holds a contract suite that runs against any implementation.

Conventions:

- The store has no code for distributions or HTTP. It does not interpret spaces, names, keys or values.
- A digest is a SHA-256 in lower-case hex. `Blobs` and `Tables` raise ValueError for anything else.
- A time is an integer number of seconds since the epoch, and the caller passes it in. A store reads no wall clock.
- Sizes and offsets are in bytes.
- Every method may raise StorageFailure; a docstring mentions it only if a caller can act on it.
- Methods that are not coroutines return quickly and may be called in the event loop, unless their docstring says
  otherwise.
- Several processes on one machine use a store at the same time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from snapproxy_storage.space_protocols import CatalogScan, Evicted, Hold, StoredBlob, StoredJournal


class StorageFailure(Exception):  # noqa: N818 - named for the event, as are its subclasses
    """A store operation failed. The message states the operation, the file, the cause and a remedy."""


class DiskFailure(StorageFailure):
    """The disk takes no more bytes. `state` is "is full", "is over its quota", "is read-only" or "reports errors"."""

    def __init__(self, message: str, state: str = "is full") -> None:
        super().__init__(message)
        self.state = state


class DraftFailed(StorageFailure):
    """The writer abandoned the draft. `reason` is the text that the writer passed to `Draft.abandon`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DraftOrphaned(StorageFailure):
    """The process that wrote the draft has ended without committing or abandoning it.

    `Drafts.begin` takes the draft over.
    """


@dataclass(frozen=True, slots=True)
class Meta:
    """The known properties of arriving bytes.

    `length` is None while unknown; validators are verbatim from the source.
    """

    source: str = ""
    length: int | None = None
    etag: str = ""
    last_modified: str = ""


class Body(Protocol):
    """Readable bytes: a blob, or a draft that is still being written. The receiver must close it."""

    @property
    def size(self) -> int | None:
        """The total length in bytes. None while a draft's length is unknown."""

    @property
    def meta(self) -> Meta:
        """The properties that the draft's writer described. For a blob, all fields have their defaults."""

    def fileno(self) -> int | None:
        """Return a descriptor of a regular file for sendfile, or None, in which case the caller uses `chunks`.

        Call it again after each `wait`: it changes to None if the disk fills up while a draft arrives. The body owns
        the descriptor. A caller that may use it after `close` must duplicate it first.
        """

    async def wait(self, offset: int) -> int:
        """Return the number of bytes that may be sent, counted from the start of the body.

        Waits until the number is greater than `offset` or the body has ended; at the end it equals `size`. The number
        never covers bytes whose verdict is pending. Raises DraftFailed if the writer abandons the draft, DraftOrphaned
        if the writer's process ends.
        """

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to `stop`, or to the end of the body if that comes first.

        Follows a draft while it is being written. Raises the same errors as `wait`.
        """

    def close(self) -> None:
        """Release the descriptor. Closing again has no effect."""


class Blob(Body, Protocol):
    """Complete, immutable bytes, named by their SHA-256.

    An open blob stays readable after it is removed from the store.
    """

    @property
    def digest(self) -> str: ...

    @property
    def size(self) -> int: ...


class Blobs(Protocol):
    """The complete files of the store, by digest. A blob is created only by `Draft.commit`.

    A blob that `peek` or `open` returns has the bytes of its digest: a file that was changed, cut or replaced since its
    bytes were verified is hashed first. A damaged one is logged and removed.
    """

    def peek(self, digest: str) -> Blob | None:
        """Return the blob without waiting. None if the store does not have it, or if only `open` can determine that."""

    async def open(self, digest: str) -> Blob | None:
        """Return the blob, None if the store does not have it, or no longer because it was damaged.

        None is how a caller detects an evicted blob.
        """

    def size(self, digest: str) -> int | None:
        """Return the size of the blob's file, None if there is none. Its bytes are not checked: `open` does that."""

    def was_damaged(self, digest: str) -> bool:
        """Return whether the blob was removed because it was damaged, and has not been stored again since."""

    async def remove(self, digest: str, *, damaged: bool = False) -> int:
        """Remove the blob and increment the epoch; return its bytes on disk, 0 for an absent one.

        The disk frees them when the last reader has closed it. `damaged`: record that as the reason.
        """

    def hold(self) -> Hold | None:
        """Prevent evictions, to check a blob and record a reference to it. None while one runs."""

    async def evict(self, digests: Sequence[str], needed: Callable[[], Container[str] | None]) -> Evicted:
        """Remove those of the blobs that are not needed, while no `Hold` exists.

        `needed`, called before on a thread, returns the digests of new references, None to remove nothing.
        """

    def digests(self) -> Iterator[str]:
        """Yield the digest of every blob in the store, sorted. It may block, because it lists the whole store."""

    def stored(self) -> Iterator[StoredBlob]:
        """Yield every blob with its size and when it was last served, in any order and in bounded memory.

        It may block: call it in a thread. A blob that is stored or removed meanwhile may be missing.
        """


@dataclass(frozen=True, slots=True)
class Sealed:
    """The digest and size of a complete draft, whose last piece is still held back."""

    digest: str
    size: int


class Draft(Protocol):
    """The writer's side of a file that is arriving.

    A draft has one writer on the machine and any number of readers in any process. The writer ends it with exactly one
    of `commit` and `abandon`. Until then the last piece (up to 16 KiB) is held back: no reader can receive a complete
    file before the writer has verified it.

    Cancelling a call loses no bytes: `write` has accepted its data as soon as it is called, and `commit` and `abandon`
    complete once they have started.
    """

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int:
        """The number of bytes accepted so far, including those that an earlier writer left."""

    @property
    def meta(self) -> Meta: ...

    def tap(self, update: Callable[[bytes], None]) -> None:
        """Call `update` on the writer thread with every byte, from the first, in order.

        Raises StorageFailure after the first `rehash` or `write`. If `update` raises, the draft fails.
        """

    async def rehash(self) -> None:
        """Read the bytes that an earlier writer left (size > 0) and pass them to the hash and the taps.

        It is required before the first `write` of a resumed draft.
        """

    async def restart(self) -> None:
        """Discard the bytes that an earlier writer left and start at zero. Allowed only before `rehash` and `write`.

        Readers of the earlier writer fail. Readers of this draft have received no bytes yet and continue, unless
        `describe` was called already: they may have used the length.
        """

    async def describe(self, meta: Meta) -> None:
        """Set the properties of the arriving bytes. All readers receive them immediately.

        A known length cannot change, because a reader may have used it: another length raises StorageFailure.
        """

    async def write(self, data: bytes) -> None:
        """Append bytes. Waits while the writer thread is behind (back-pressure).

        Readers receive the bytes promptly, except the last piece (up to 16 KiB), which is held back until `commit`.
        Reserves disk space first (`Space`), and waits for room. If there is none, or if the disk is full, the draft
        continues in a bounded memory window for the readers in this process.
        Raises StorageFailure for more bytes than the described length, DiskFailure if the window is full and no reader
        needs its bytes, and if the windows of all drafts take too much memory.
        """

    async def seal(self) -> Sealed:
        """Declare that all bytes are written, and return their digest and size. The last piece is still held back.

        Raises StorageFailure if the described length and the number of bytes differ.
        """

    async def commit(self) -> Blob:
        """Publish the draft as a blob named by its digest, and release the last piece to all readers.

        Call it after verifying the bytes. The blob is published atomically: it is complete or absent, even after a
        crash. It survives a power cut when this returns. If the store already has a blob with this digest, the result
        is the same. If the disk is full (`full`), the last piece is released to the readers in this process only, and
        the returned blob exists only while it is open: no name may refer to it.
        """

    async def abandon(self, reason: str, *, keep: bool = False) -> None:
        """End the draft without a blob: every reader raises DraftFailed with `reason`.

        `keep` leaves the bytes in the store, so that the next `begin` of this key resumes them. After `commit` it has
        no effect.
        """

    @property
    def full(self) -> bool:
        """Whether the disk is full or has no room. If so, the bytes are not stored, and no name may refer to them."""

    def misfit(self) -> DiskFailure:
        """Return the failure of a reader whose bytes fit neither on the disk nor into memory."""

    def follow(self) -> Body:
        """Return a reader of this draft, or of its blob after a successful end."""


@dataclass(frozen=True, slots=True)
class Writing:
    """The caller of `Drafts.begin` is the draft's only writer and must end the draft."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Following:
    """Another caller, in this process or another one, is writing the draft.

    `body` reads it; the caller must close `body`.
    """

    body: Body


class Drafts(Protocol):
    """The files that are arriving, by key. A key is any text."""

    def begin(self, key: str, *, window: int = 8 << 20) -> Writing | Following:
        """Return `Writing` to exactly one caller on the machine, and `Following` to all others until that draft ends.

        If the earlier writer died or abandoned the draft with `keep`, and its bytes can be trusted, the draft is
        resumed: `Writing.draft` has a `size` greater than zero. `window` limits the bytes kept in memory if the disk is
        full.
        """

    def follow(self, key: str) -> Body | None:
        """Return a reader of the draft of `key`, in this or another process.

        Return None if it is not being written.
        """

    async def sweep(self, *, older_than: float) -> int:
        """Remove drafts without a writer that were not modified for `older_than` seconds. Return the number removed."""


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a name in the catalog: digest, size, and the rank of the proof (a greater rank is a stronger proof).

    An empty digest records an absence. `extra` contains JSON values for the caller.
    """

    digest: str
    size: int
    proof: int
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """A span of time, `first` and `last` included, over which a key was observed with one value."""

    first: int
    last: int
    value: str


class Catalog(Protocol):
    """Names, observations and facts. Reads are quick and do not wait. Writes are durable when they return.

    A write is atomic. Writes from different processes are serialized. Once started, a write completes even if its
    caller is cancelled.
    """

    def name(self, space: str, name: str) -> Name | None: ...

    def names(self, space: str, *, prefix: str = "") -> list[tuple[str, Name]]:
        """Return every name in the space that starts with `prefix`, sorted by code point."""

    async def put_name(self, space: str, name: str, value: Name, *, at: int | None = None) -> Name:
        """Store the value unless the name has a value with a proof as strong or stronger. Return the resulting value.

        `at`: the time of a name that may be forgotten, oldest first (`tidy`). One that was stored without is permanent.
        Increments the epoch if the digest of an existing name changes.
        """

    async def drop_name(self, space: str, name: str) -> None:
        """Delete a name and increment the epoch."""

    async def observe(self, key: str, at: int, value: str) -> None:
        """Record that `key` had `value` at the time `at`.

        Extends the neighbouring span of the same value if no other value was observed in between, otherwise adds a
        span. Observations may arrive in any order. A value observed inside a span of another value splits that span. Of
        two values observed at the same second, the one recorded later replaces the other, and no span extends across
        that second. Two adjacent spans of one value mean that another value was, or may have been, observed between
        them.
        """

    async def observe_all(self, at: int, values: Mapping[str, str]) -> None:
        """Record that each key had its value at the time `at`: `observe` for all of them, in one transaction."""

    def around(self, key: str, at: int) -> tuple[Value | None, Value | None]:
        """Return the last span with first <= at, and the first span with first > at."""

    def keys(self, prefix: str) -> list[str]:
        """Return every observed key that starts with `prefix`, sorted."""

    def fact(self, key: str, now: int) -> Any | None:
        """Return the JSON value of a fact, None if it is absent or expired (expires <= now)."""

    async def put_fact(self, key: str, value: Any, *, expires: int | None = None) -> None:
        """Store a JSON value, replacing an existing one. If `expires` is None, it does not expire."""

    async def update_fact(self, key: str, change: Callable[[Any | None], Any], *, invalidates: bool = False) -> Any:
        """Replace a fact that does not expire by `change(fact)`, atomically across processes. Return the new value.

        `change` receives None if the fact is absent. It runs inside the transaction, on the writer thread, and may be
        called more than once: it must be quick and free of side effects. If it raises, nothing is written and the
        exception is raised here. `invalidates`: the new value forbids something that the old one allowed, so the epoch
        is incremented.
        """

    async def drop_fact(self, key: str) -> None: ...

    async def put_names(self, space: str, values: Mapping[str, Name], *, at: int | None = None) -> None:
        """Store all of these names, or none of them: `put_name` for each, in one transaction."""

    async def drop_space(self, space: str) -> None:
        """Delete every name of a space and increment the epoch."""

    async def tidy(self, now: int, *, most_names: int, most_facts: int, kept: Collection[str] = ()) -> int:
        """Delete expired facts and, beyond the maximum numbers, the oldest rows; return the number of deleted rows.

        Of the names with a time those written first are deleted, but none of the `kept` spaces; of the facts that
        expire, those that expire first. The epoch is not incremented: a deleted row is found out again.
        """

    async def drop_dangling(
        self, is_stored: Callable[[str], bool], *, spaces: Sequence[str], facts: Sequence[str]
    ) -> int:
        """Delete the names in `spaces`, and the facts `<prefix><digest>`, whose blob is not stored.

        Return the number of deleted rows, those about the blobs themselves included. `is_stored` must be quick.
        """

    def scan(self) -> CatalogScan:
        """Open a scan of the whole catalog, for work that may take minutes."""

    @property
    def epoch(self) -> int:
        """A counter that is incremented, in every process, when recorded data becomes invalid.

        A name was deleted or its digest changed, a blob was removed, or a fact was invalidated. A caller that caches an
        answer compares the counter to detect that. Reading it costs no system call.
        """


class JournalRemoved(StorageFailure):
    """The journal was removed while this `Journal` object had no descriptor. Open it again."""


class Journal(Protocol):
    """An open journal: an append-only file of lines.

    All processes that write to it read its lines in the same order. An object has a descriptor only while few others
    are in use: there may be any number of objects. `add` and `sync` raise JournalRemoved.
    """

    def add(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Append lines. Return all lines added since the previous call, including these, in the order of the journal.

        Does not wait for the disk. Returns the object `lines` itself if no line was added through another `Journal`
        object. Raises ValueError for a line with a line break, StorageFailure if the append fails. A failed append, or
        the death of the process, can leave a truncated line, which is then returned as a separate line: use a line
        format of which no prefix is valid.
        """

    async def sync(self) -> None:
        """Flush the appended lines to the disk, so that they survive a power cut."""

    def close(self) -> None:
        """Release the descriptor. A later call opens it again."""


class Journals(Protocol):
    """The journals, by name. A name has 32 lower-case hex digits; any other name raises ValueError."""

    def open(self, name: str) -> Journal:
        """Open a journal. A journal that does not exist is created empty."""

    async def remove(self, name: str) -> None:
        """Remove a journal. An absent journal is ignored.

        `Journal` objects that have a descriptor keep working on the removed file, whose lines no later `open` returns.
        """

    async def count(self) -> int:
        """Return the number of journals."""

    def stored(self) -> Iterator[StoredJournal]:
        """Yield every journal, in any order. It may block: call it in a thread."""

    def read(self, name: str, start: int) -> tuple[Sequence[bytes], int]:
        """Return complete lines from an offset, at most a MiB, and the next offset; none at the end, or if absent."""
