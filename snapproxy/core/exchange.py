"""Values and protocols exchanged between packages while a request is answered: from address to executor to response.

`core.address.read` makes one of the *targets* from a raw request; an `Answerer` turns a target into an *outcome*; `web`
writes the outcome to the connection. Frozen values and protocols only.
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
    `base` is the part of the client's URL before the time, for a folder redirect ('' in the proxy form of a live host).
    `overridden` is the time in the credentials if the URL names another one, which takes precedence.
    """

    archive: Archive
    when: TimeSpec
    path: str
    capture: str = ""
    base: str = ""
    overridden: str = ""


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A question to an archive's own service (`core.history.NativeCall`), forwarded, rate-limited and cached.

    `path` begins with a slash, is canonical and escaped, and includes its query string. `sha1` is the digest (hex) that
    the address names, '' for none. `is_listing`: the answer is the web page of a folder.
    """

    archive: Archive
    path: str
    sha1: str = ""
    capture: str = ""
    is_listing: bool = False


@dataclass(frozen=True, slots=True)
class PassTarget:
    """A plain-http request to a host in `pass`, which a pinned build may reach unpinned.

    `path` has the form of `ServiceTarget.path`.
    """

    host: str
    port: int
    path: str
    capture: str = ""


@dataclass(frozen=True, slots=True)
class TunnelTarget:
    """A CONNECT request that the configuration allows."""

    host: str
    port: int
    capture: str = ""


@dataclass(frozen=True, slots=True)
class PageTarget:
    """A page of snapproxy itself: `/`, `/healthz`, `/readyz`, `/metrics`, ..."""

    path: str


@dataclass(frozen=True, slots=True)
class ScriptTarget:
    """`/<time>[/~<capture>]/pin.sh`: the script that pins all sources of a root file system to a time.

    `when` is a Refusal if the time or the capture's name is invalid: a shell reads the answer, so the refusal must be a
    script too.
    """

    when: TimeSpec | Refusal
    capture: str = ""


@dataclass(frozen=True, slots=True)
class BlobTarget:
    """Bytes identified by their SHA-256 alone (hex), independent of archive and time, and read from the store only."""

    digest: str


Target = FileTarget | ServiceTarget | PassTarget | TunnelTarget | PageTarget | ScriptTarget | BlobTarget


class ResponseBody(Protocol):
    """Bytes that can be sent, such as `snapproxy_storage.Body`. Close it exactly once."""

    @property
    def size(self) -> int | None: ...

    def fileno(self) -> int | None: ...

    async def wait(self, offset: int) -> int: ...

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Served:
    """A file to send. The receiver owns `body` and must close it in every case.

    `archive`: '' for bytes that were requested by digest. `cache`: HIT, MISS or JOINED. `date`: for Last-Modified, in
    seconds; `date_is_proof`: no other file of this name has had it (`conditions.Validators`). `digest`: its sha256, ''
    during the download. `media_type`: '' for the default. `headers`: further X-Snapproxy-* lines.

    A body that is still being downloaded raises from `wait` if verification fails; the connection is then aborted,
    never closed cleanly.
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
    headers: Mapping[str, str] = field(default_factory=dict)
    date_is_proof: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A redirect from a folder at an instant between two snapshots to the folder of the snapshot.

    The status is 302, never 307: some clients cannot follow a 307.
    """

    location: str
    snapshot: str


Outcome = Served | Moved | Refusal


class ClientPresence(Protocol):
    """The client that a request is answered for, and whether it still waits for its answer."""

    @property
    def peer(self) -> str:
        """The client's address; the clients of an upstream take turns. '' for the work of no client."""

    @property
    def may_have_left(self) -> bool:
        """Whether the client has closed its sending half, as one does that has disconnected: others have priority."""


@dataclass(frozen=True, slots=True)
class Present:
    """A client that waits, or the work of no client."""

    may_have_left: bool = False
    peer: str = ""


PRESENT = Present()


@dataclass(frozen=True, slots=True)
class Conditions:
    """The state of the client as its request states it.

    `since` is If-Modified-Since in seconds. `background`: clients' requests have priority over this work. `via` is the
    request's own Via, sent on upstream so that a loop over several proxies is detected (RFC 9110, section 7.6.3).
    `client` is the state of its connection.
    """

    since: Instant | None = None
    background: bool = False
    via: str = ""
    client: ClientPresence = field(default=PRESENT, compare=False)


class Prefetch(Protocol):
    """The start of a flight for a request that waits in a pipeline. Cancel it when the client disconnects."""

    def cancel(self) -> object: ...

    def done(self) -> bool: ...


class Answerer(Protocol):
    """Answers targets. Never raises for an external fault, which is a Refusal."""

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome: ...

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Prefetch | None:
        """Start the flight of a pipelined request before its turn.

        Never raises, never waits.
        """

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        """Record a request that is about to reach a host unpinned; a Refusal prevents it."""


class BlobAnswerer(Protocol):
    """Returns stored bytes by digest. Never sends a request to an upstream."""

    async def answer(self, target: BlobTarget) -> Served | Refusal: ...


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page of the service. `path` is canonical and begins with a slash, `query` is decoded."""

    path: str
    query: Mapping[str, str]
    accept: str = ""

    @property
    def wants_json(self) -> bool:
        """Whether a program asks: by `format=json`, or by an Accept that has JSON and no HTML."""
        if "format" in self.query:
            return self.query["format"] == "json"
        accept = self.accept.lower()
        return "json" in accept and "html" not in accept


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the service. `media_type` is the whole Content-Type."""

    media_type: str
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class PageAnswerer(Protocol):
    """Answers requests for pages of the service. Changes nothing, and sends no request to an upstream."""

    async def answer(self, request: PageRequest) -> Page | Refusal:
        """Return the page. Raises SnapproxyError for a fault, which becomes a refusal."""


class SnapshotLookup(Protocol):
    """Resolves times, and relates served files to one another. Used by captures."""

    async def as_of(self, target: FileTarget | ServiceTarget, snapshot: str, *, background: bool = False) -> Outcome:
        """Answer from the snapshot with this id.

        The current resolution of the target's time and a mark as bad are ignored. `background` as in `Conditions`.
        """

    async def resolve(self, archive: Archive, when: TimeSpec) -> Resolved | Refusal:
        """Resolve a time, without a file."""

    def first_seen(self, archive: Archive, root: str, digest: str) -> Instant | None:
        """Return the instant under which an observed root is stored, None if it was not observed."""

    async def canonical(self, archive: Archive, root: str, digest: str, path: str) -> str | None:
        """Return the canonical name of the file that a root lists under `path` (a by-hash name).

        None if the root does not list it.
        """


class Passed(Protocol):
    """The answer of a `pass` host: its head, and the body that follows. Close it exactly once.

    `headers` are as the host sent them, without hop-by-hop headers.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises if the body breaks off; the client's connection is then cut."""

    def close(self) -> None: ...


class Forwarder(Protocol):
    """Forwards requests to hosts that a pinned build may reach. It stores and pins nothing."""

    async def forward(
        self, target: PassTarget, method: str, headers: Iterable[tuple[str, str]], body: AsyncIterator[bytes] | None
    ) -> Passed | Refusal:
        """Forward the request and return when the head of the answer has arrived.

        `headers` are the client's own, hop-by-hop headers included.
        """


class TrafficCounter(Protocol):
    """Counts the traffic to clients. Never raises, never waits."""

    def served(self, served: Served) -> None:
        """Count one file that is sent, or confirmed to be unchanged, from any source."""

    def refused(self, status: int, host: str = "", archive: str = "") -> bool:
        """Count one refusal. Return whether it is the first one that concerns `host`; '' for a request to this proxy.

        `host` is the host that the client tried to reach, as `core.address.foreign_host` writes it. `archive`: '' if
        the address names none.
        """

    def sent(self, served: Served, count: int) -> None:
        """Count bytes of a file's body sent to a client."""

    def unpinned(self, host: str, sent: int, received: int) -> None:
        """Count one finished request or tunnel to `host`: bytes of body sent to it, bytes received from it."""
