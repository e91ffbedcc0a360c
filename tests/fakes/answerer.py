"""A dict-backed archive that implements `Answerer`, and an address reader for it.

Its files can arrive slowly and break.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping

from snapproxy.core.exchange import (
    BlobTarget,
    Conditions,
    FileTarget,
    Outcome,
    PageTarget,
    PassTarget,
    ScriptTarget,
    Served,
    ServiceTarget,
    Target,
    TunnelTarget,
)
from snapproxy.core.model import Archive, Instant, Match, Proof, Refusal, Role, TimeSpec

DEBIAN = Archive(name="debian", family="apt", history="snapshots")
WHEN = "20240601T000000Z"
DATE = 1717200000
OWN: dict[str, Target] = {path: PageTarget(path) for path in ("/", "/healthz", "/readyz", "/nonsense")} | {
    f"/{WHEN}/~build/pin.sh": ScriptTarget(TimeSpec(WHEN, DATE, Match.AT), "build"),
    "/never/pin.sh": ScriptTarget(Refusal(400, "That's not a time", hint="$(reboot); `reboot`")),
}
"""Addresses that belong to no archive and no other host."""


class Source:
    """The bytes of one file, stored in a real file, complete or still arriving. Counts its readers."""

    def __init__(
        self, data: bytes = b"", *, arriving: bool = False, length: int | None = None, has_file: bool = True
    ) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 # lives as long as the source
        self.length = length if arriving else len(data)
        self.has_file = has_file
        self.digest = ""
        self.readers = 0
        self.opened = 0
        self._ready = 0
        self._error: Exception | None = None
        self._ended = False
        self._changed = asyncio.Event()
        self.feed(data)
        if not arriving:
            self.end()

    def feed(self, data: bytes) -> None:
        os.pwrite(self.file.fileno(), data, self._ready)
        self._ready += len(data)
        self._tell()

    def end(self) -> None:
        self._ended = True
        self.length = self._ready
        self._tell()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def open(self) -> SourceBody:
        self.readers += 1
        self.opened += 1
        return SourceBody(self)

    async def wait(self, offset: int) -> int:
        while True:
            if self._ready > offset or self._ended:
                return self._ready
            if self._error is not None:
                raise self._error
            await self._changed.wait()


class SourceBody:
    """One reader of a Source; closing it twice is an error of the caller."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._closed = False

    @property
    def size(self) -> int | None:
        return self._source.length

    def fileno(self) -> int | None:
        assert not self._closed, "used after close"
        return self._source.file.fileno() if self._source.has_file else None

    async def wait(self, offset: int) -> int:
        return await self._source.wait(offset)

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            await self._source.wait(start)
            data = os.pread(self._source.file.fileno(), min(stop - start, 64 << 10), start)
            start += len(data)
            yield data

    def close(self) -> None:
        assert not self._closed, "closed twice"
        self._closed = True
        self._source.readers -= 1


class FakeArchive:
    """Answers from `files` and `outcomes`, both by path; a path in `held` waits for its event first."""

    def __init__(self) -> None:
        self.files: dict[str, Source] = {}
        self.outcomes: dict[str, Outcome | Exception] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.roles: dict[str, Role] = {}
        self.dates: dict[str, Instant | None] = {}
        self.ambiguous: set[str] = set()
        self.headers: Mapping[str, str] = {}
        self.asked: list[tuple[str, Conditions]] = []
        self.prefetched: list[str] = []
        self.cancelled: list[str] = []
        self.forbidden: Refusal | None = None
        """The refusal of every pass-through request."""

    def add(self, path: str, data: bytes) -> Source:
        source = self.files[path] = Source(data)
        return source

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        path = target.path
        self.asked.append((path, conditions))
        if path in self.held:
            try:
                await self.held[path].wait()
            except asyncio.CancelledError:
                self.cancelled.append(path)
                raise
        if path in self.outcomes:
            outcome = self.outcomes[path]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        if path not in self.files:
            return Refusal(404, "Not in this snapshot", why=f"No {path}.", hint="Check the name.")
        source = self.files[path]
        return Served(
            body=source.open(),
            archive="debian",
            snapshot="20240531T203452Z",
            requested=WHEN,
            proof=Proof.GPG,
            cache="HIT" if source._ended else "JOINED",
            role=self.roles.get(path, Role.PACKAGE),
            date=self.dates.get(path, DATE),
            digest=source.digest or digest_of(source) if source._ended else "",
            headers=self.headers,
            date_is_proof=path not in self.ambiguous,
        )

    def close(self) -> None:
        for source in self.files.values():
            source.file.close()

    def prefetch(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> None:
        self.prefetched.append(target.path)

    async def passing(self, target: PassTarget | TunnelTarget) -> Refusal | None:
        return self.forbidden


class FakeHolding:
    """Serves the files of an archive by their digest."""

    def __init__(self, archive: FakeArchive) -> None:
        self._archive = archive

    async def answer(self, target: BlobTarget) -> Served | Refusal:
        for source in self._archive.files.values():
            if digest_of(source) == target.digest:
                return Served(source.open(), "", "", "", Proof.DIGEST, "HIT", Role.OTHER, DATE, target.digest)
        return Refusal(404, "No such bytes in this store")


def digest_of(source: Source) -> str:
    return hashlib.sha256(os.pread(source.file.fileno(), 1 << 30, 0)).hexdigest()


class FakeAddresses:
    """Reads `/debian/<when>/<path>`, pages, `/mr/`, absolute addresses of `passes` and CONNECT to `tunnels`.

    Records its arguments.
    """

    def __init__(self) -> None:
        self.passes: dict[str, int] = {}
        self.tunnels: set[str] = set()
        self.read: list[tuple[str, str, str, str]] = []

    def __call__(self, method: str, target: str, host: str, authorization: str) -> Target | Refusal:
        self.read.append((method, target, host, authorization))
        if method == "CONNECT":
            name, _, port = target.rpartition(":")
            if target in self.tunnels:
                return TunnelTarget(name, int(port))
            return Refusal(403, "CONNECT is refused", why="It would escape the pin.", hint="Use http.", is_foreign=True)
        if found := re.fullmatch(r"http://([^/:]+)(?::[0-9]+)?(/.*)", target):
            if found[1] in self.passes:
                return PassTarget(found[1], self.passes[found[1]], found[2])
            return Refusal(403, "Unknown host", why="No archive is served under that name.", is_foreign=True)
        if found := re.fullmatch(r"/v2/any/blobs/sha256:([0-9a-f]{64})", target):
            return BlobTarget(found[1])
        if target in OWN:
            return OWN[target]
        if target.startswith("/mr/"):
            return ServiceTarget(DEBIAN, target)
        if found := re.fullmatch(rf"/debian/{WHEN}/([^?]*)", target):
            return FileTarget(DEBIAN, TimeSpec(WHEN, DATE, Match.AT), found[1])
        if authorization == "" and target.startswith("/timeless"):
            return Refusal(407, "A time is required", headers={"Proxy-Authenticate": 'Basic realm="time"'})
        return Refusal(400, "The address is malformed")
