"""What passes between the rooms while a request is answered: from address to executor, from executor to the wire.

`core.address.read` makes one of the *targets* from a raw request; an `Answerer` (shell) turns a target into an *outcome*;
web puts an outcome on the wire. Frozen values and protocols only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from snapproxy.core.model import Archive, Instant, Proof, Refusal, Resolved, Role, TimeSpec


@dataclass(frozen=True, slots=True)
class FileTarget:
    """A file of an archive at a time.

    `path` is canonical: decoded once, relative to the archive, no leading slash; '' or a trailing slash means a folder.
    `base` is the part of the client's URL before the *when* for a folder redirect ('' in the proxy form of a live host).
    `overridden` is the credentials' *when*, where the URL's own instant beat it.
    """

    archive: Archive
    when: TimeSpec
    path: str
    capture: str = ""
    base: str = ""
    overridden: str = ""


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A question to an archive's memory, passed through, paced and cached: `/mr/...`, `/file/<sha1>[/name]`, a list that changes.

    `path` begins with a slash, is canonical and escaped, and carries its query string. `is_listing`: the answer is the web page
    of a folder.
    """

    archive: Archive
    path: str
    sha1: str = ""
    capture: str = ""
    is_listing: bool = False


@dataclass(frozen=True, slots=True)
class PassTarget:
    """A plain-http request to a host that the configuration lets a pinned build reach, unpinned. `path` as ServiceTarget's."""

    host: str
    port: int
    path: str
    capture: str = ""


@dataclass(frozen=True, slots=True)
class TunnelTarget:
    """A CONNECT that policy allows."""

    host: str
    port: int
    capture: str = ""


@dataclass(frozen=True, slots=True)
class PageTarget:
    """A page of our own: `/`, `/healthz`, `/readyz`, `/metrics`, ..."""

    path: str


@dataclass(frozen=True, slots=True)
class ScriptTarget:
    """`/<when>[/~<capture>]/pin.sh`: the script that pins a whole root to a time.

    What is wrong with the time or the capture's name is held here, since a shell will read the answer, whatever it is.
    """

    when: TimeSpec | Refusal
    capture: str = ""


@dataclass(frozen=True, slots=True)
class BlobTarget:
    """Bytes by their SHA-256 alone (hex): of no archive and no time, from the store or not at all."""

    digest: str


Target = FileTarget | ServiceTarget | PassTarget | TunnelTarget | PageTarget | ScriptTarget | BlobTarget


class ResponseBody(Protocol):
    """Bytes that can be sent; `snapproxy_storage.Body` is one. Close it exactly once."""

    @property
    def size(self) -> int | None: ...

    def fileno(self) -> int | None: ...

    async def wait(self, offset: int) -> int: ...

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Served:
    """A file to send. The receiver owns `body` and closes it, whatever happens.

    `date` is the blob's first-seen date, for Last-Modified (seconds); `digest` its sha256, '' while it still arrives;
    `archive` is '' for bytes that were asked for by their digest. `cache` is HIT, MISS or JOINED. `valid` is the span of instants, ends included, known to have the same answer. `media_type` is '' for the default. `headers` holds further X-Snapproxy-* lines.
    A body that still arrives raises from `wait` when its verdict is bad: the connection is then cut, never ended cleanly.
    """

    body: ResponseBody
    archive: str
    snapshot: str
    requested: str
    proof: Proof
    cache: str
    role: Role
    date: Instant | None = None
    digest: str = ""
    media_type: str = ""
    valid: tuple[Instant, Instant] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moved:
    """A folder asked for at an instant between snapshots: sent to the snapshot's own folder (302; never 307, apk cannot follow it)."""

    location: str
    snapshot: str


Outcome = Served | Moved | Refusal


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the client holds and says; `since` is If-Modified-Since in seconds. `background` work yields to clients.

    `via` is the request's own Via: it goes on upstream, so that a loop over several proxies is seen (RFC 9110, section 7.6.3).
    """

    since: Instant | None = None
    background: bool = False
    via: str = ""


class Answerer(Protocol):
    """Answers targets. Never raises for anything the outside world did: that is a Refusal."""

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome: ...

    def prefetch(self, target: FileTarget | ServiceTarget) -> None:
        """Begin the flight of a request that waits in a pipeline, so that it need not wait its turn. Never raises, never waits."""

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Learn of a request that is about to reach a host unpinned; a Refusal keeps it from doing so."""


class BlobAnswerer(Protocol):
    """Gives what is in the store by its digest. Asks nobody else, whatever is missing."""

    async def answer(self, target: BlobTarget) -> Served | Refusal: ...


class SnapshotLookup(Protocol):
    """Says what a *when* came to, and how what was served belongs together. Capturing asks it; the shell answers."""

    async def as_of(self, target: FileTarget | ServiceTarget, snapshot: str) -> Outcome:
        """Answer from the snapshot of this id, whatever the target's time would come to now, and marked as bad or not."""

    async def resolve(self, archive: Archive, when: TimeSpec) -> Resolved | Refusal:
        """Settle a *when*, and nothing else."""

    def first_seen(self, archive: Archive, root: str, digest: str) -> Instant | None:
        """Return the instant under which an observed root is kept, None for one that was not observed."""

    async def canonical(self, archive: Archive, root: str, digest: str, path: str) -> str | None:
        """Return the canonical name of the file that a root promises under `path` (a by-hash name), None when it promises none."""


class Passed(Protocol):
    """The head of an answer from a `pass` host, and its bytes still to come. Close it exactly once.

    `headers` are as the host sent them, without those that concern one hop only.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises when it breaks off: the client's connection is then cut."""

    def close(self) -> None: ...


class Forwarder(Protocol):
    """Carries requests to hosts that the configuration lets a pinned build reach. Nothing is stored, nothing is pinned."""

    async def forward(
        self, target: PassTarget, method: str, headers: Iterable[tuple[str, str]], body: AsyncIterator[bytes] | None
    ) -> Passed | Refusal:
        """Send the request on and return once the answer's head is here. `headers` are the client's own, hop headers included."""


class TrafficCounter(Protocol):
    """Keeps count of what reached clients. Never raises, never waits."""

    def outcome(self, outcome: Outcome) -> None:
        """Count the answer to one request for a file, whoever gave it."""

    def sent(self, count: int) -> None:
        """Count bytes of files' bodies that went out to a client."""

    def unpinned(self, host: str, sent: int, received: int) -> None:
        """Count one request or tunnel to `host` that has ended: bytes of body sent there, bytes received from there."""
