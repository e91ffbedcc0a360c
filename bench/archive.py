"""The simulated archive of the benchmarks. It runs in a separate process, so that its cost is not added to the proxy's.

Its large files are generated while they are read: zeros, and a tail that differs in each file. They need neither disk
nor memory, and their digests need one pass over the zeros for all of them.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, Package, Timeline
from tests.fakes.faults import Drip
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.services import MirrorService, SnapshotService
from tests.fakes.signing import SigningKey

WHEN = "20240601T023000Z"
SUITE = "bench"
LONG_SUITE = "long"
"""A suite with an index as long as that of Debian's main component."""

_LATER = "20240603T023000Z"
_TAIL = 64
_BLOCK = bytes(256 << 10)
_STANZAS = 63_000


@dataclass(frozen=True)
class Generated(Content):
    """Content of `length` bytes: zeros, then `source` as the tail."""

    length: int = 0

    @property
    def size(self) -> int:
        return self.length

    @cached_property
    def digests(self) -> dict[str, str]:
        found = {}
        for name in ("md5", "sha1", "sha256"):
            state = _zeros(name, self.length - _TAIL).copy()
            state.update(self.tail)
            found[name] = state.hexdigest()
        return found

    @property
    def tail(self) -> bytes:
        assert isinstance(self.source, bytes)
        return self.source

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        zeros = self.length - _TAIL
        while start < min(stop, zeros):
            count = min(len(_BLOCK), stop - start, zeros - start)
            yield _BLOCK if count == len(_BLOCK) else _BLOCK[:count]
            start += count
        if start < stop:
            yield self.tail[start - zeros : stop - zeros]


@cache
def _zeros(algorithm: str, count: int) -> Any:
    state = hashlib.new(algorithm, usedforsecurity=False)
    for at in range(0, count, len(_BLOCK)):
        state.update(_BLOCK[: min(len(_BLOCK), count - at)])
    return state


def file(number: int, size: int) -> Content:
    """Return the file with this number and size, the same in every run."""
    if size < 2 * _TAIL:
        raise ValueError("too small for a tail")
    return Generated(f"{number:x}".encode().rjust(_TAIL, b"-"), length=size)


@dataclass(frozen=True)
class Kind:
    """A number of files of one size. `listed`: whether the index lists them."""

    name: str
    count: int
    size: int
    listed: bool = True

    def path(self, number: int) -> str:
        return f"pool/main/b/bench/{self.name}-{number:03}_1.0_amd64.deb"


class Archive:
    """The archive's process. `snapshot` and `mirror` are its two addresses, `keyring` verifies its roots."""

    def __init__(self, folder: Path, kinds: Sequence[Kind], *, long_index: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._wire, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(folder, tuple(kinds), long_index, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.snapshot, self.mirror, self.keyring = self._wire.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.send(None)
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def requests(self, name: str) -> int:
        """Return the number of requests for the content of a file with this base name."""
        return int(self._ask("requests", name))

    def slow_down(self, name: str, *, piece: int, every: float) -> None:
        """Send the file with this base name in pieces of `piece` bytes, one every `every` seconds."""
        self._ask("slow_down", name, piece, every)

    def _ask(self, *order: object) -> Any:
        self._wire.send(order)
        return self._wire.recv()


class _Servers:
    """The servers in the archive's process."""

    def __init__(self, tree: FixedTree, stack: ExitStack) -> None:
        timeline = Timeline()
        timeline.publish(WHEN, tree)
        timeline.publish(_LATER, tree)
        archives = {"debian": timeline}
        self._tree = tree
        self.snapshot = ArchiveServer(SnapshotService(archives), name="snapshot", address="127.0.0.2")
        self.mirror = ArchiveServer(MirrorService(archives), name="mirror", address="127.0.0.3")
        for server in (self.snapshot, self.mirror):
            stack.enter_context(server)

    def requests(self, name: str) -> int:
        sha1 = next(content.sha1 for path, content in self._tree.files.items() if path.endswith(f"/{name}"))
        served = (each for server in (self.snapshot, self.mirror) for each in server.requests())
        return sum(each.status in (200, 206) and each.path.endswith((name, sha1)) for each in served)

    def slow_down(self, name: str, piece: int, every: float) -> None:
        for server in (self.snapshot, self.mirror):
            server.fault(f"*/{name}", Drip(piece, every))


# multiprocessing passes arguments by position
def _serve(folder: Path, kinds: Sequence[Kind], long_index: bool, wire: Connection) -> None:  # noqa: FBT001
    key = SigningKey(folder / "gnupg")
    with ExitStack() as stack:
        stack.callback(key.close)
        servers = _Servers(_tree(Publisher(key), kinds, long_index=long_index), stack)
        wire.send((servers.snapshot.url, servers.mirror.url, key.keyring))
        while (order := wire.recv()) is not None:
            name, *arguments = order
            wire.send(getattr(servers, name)(*arguments))


def _tree(publisher: Publisher, kinds: Sequence[Kind], *, long_index: bool) -> FixedTree:
    files: dict[str, Content] = {}
    listed: list[Package] = []
    for kind in kinds:
        for number in range(kind.count):
            path, content = kind.path(number), file(len(files), kind.size)
            files[path] = content
            if kind.listed:
                listed.append(_package(path, content))
    suites = [SuitePlan(SUITE, tuple(listed))]
    if long_index:
        suites.append(SuitePlan(LONG_SUITE, tuple(_filler(number) for number in range(_STANZAS))))
    tree = publisher.tree(WHEN, suites)
    return FixedTree({**tree.files, **files})


def _package(path: str, content: Content) -> Package:
    name, version, _ = path.rpartition("/")[2].split("_")
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": path,
        "Size": content.size,
        "SHA256": content.sha256,
    }
    return Package("\n".join(f"{key}: {value}" for key, value in fields.items()), {path: content})


def _filler(number: int) -> Package:
    """Return a package that exists in the index only, with a stanza of the average length in Debian."""
    name = f"filler-{number:05}"
    lines = (
        f"Package: {name}",
        f"Source: {name}-source",
        "Version: 1.0-1",
        "Installed-Size: 4096",
        "Maintainer: Simulated Maintainers <maintainers@example.invalid>",
        "Architecture: amd64",
        f"Depends: libc6 (>= 2.36), lib{name} (= 1.0-1), {name}-common (>= 1.0), debconf (>= 0.5) | debconf-2.0",
        f"Description: package number {number} of a simulated archive",
        f"Homepage: https://example.invalid/{name}/",
        f"Description-md5: {secrets.token_hex(16)}",
        "Tag: implemented-in::c, interface::commandline, role::program, scope::utility, use::monitor",
        "Section: utils",
        "Priority: optional",
        f"Filename: pool/main/f/{name}/{name}_1.0-1_amd64.deb",
        "Size: 123456",
        f"MD5sum: {secrets.token_hex(16)}",
        f"SHA256: {secrets.token_hex(32)}",
    )
    return Package("\n".join(lines), {})
