from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.oci.artifact import Artifact, BlobContent, bytes_content
from snapproxy.oci.credentials import Keychain
from snapproxy.oci.manifests import Descriptor, Manifest, digest_of
from snapproxy.oci.places import read_reference
from snapproxy.oci.registry import Repository, open_repository
from tests.fakes.debian_registry import DebianRegistry
from tests.fakes.registry import SimulatedRegistry

Connect = Callable[..., Awaitable[Repository]]

KIND = "application/vnd.example.capture.v1"
OCTETS = "application/octet-stream"


class QuickClock(SystemClock):
    """A clock that records the requested pauses and sleeps for a thousandth of each."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds / 1000)
        self._ahead += seconds


def blob(data: bytes, title: str = "") -> BlobContent:
    notes = {"org.opencontainers.image.title": title} if title else {}
    return bytes_content(Descriptor(OCTETS, digest_of(data), len(data), annotations=notes), data)


@pytest.fixture
def make_blob() -> Callable[..., BlobContent]:
    return blob


@pytest.fixture
def make_artifact() -> Callable[..., Artifact]:
    """Make an artifact with one layer for each argument, titled by number; `subject` makes it a referrer."""

    def make(*layers: bytes, subject: Descriptor | None = None, kind: str = KIND) -> Artifact:
        contents = [blob(data, f"pool/{number}.deb") for number, data in enumerate(layers)]
        manifest = Manifest(tuple(each.descriptor for each in contents), kind, annotations={"org.example.a": "é"})
        return Artifact.of(replace(manifest, subject=subject), tuple(contents))

    return make


@pytest.fixture
async def registry() -> AsyncIterator[SimulatedRegistry]:
    async with SimulatedRegistry() as registry:
        yield registry


@pytest.fixture
async def other_host() -> AsyncIterator[SimulatedRegistry]:
    async with SimulatedRegistry() as registry:
        yield registry


@pytest.fixture(scope="session")
def debian_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """Debian's docker-registry without a login."""
    with DebianRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """Debian's docker-registry with a password."""
    with DebianRegistry(tmp_path_factory.mktemp("locked"), is_locked=True) as registry:
        yield registry


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open repositories of a registry: `connect(host, name, login=...)`. They are closed after the test."""
    async with AsyncExitStack() as stack:

        async def connect(host: str, name: str = "team/art", **options: Any) -> Repository:
            clock = options.pop("clock", None) or QuickClock()
            environ = options.pop("environ", {"HOME": "/nonexistent"})
            keychain = Keychain(environ, clock=clock, login=options.pop("login", None))
            reference = read_reference(f"{host}/{name}")
            return await stack.enter_async_context(
                open_repository(reference, keychain=keychain, clock=clock, **options)
            )

        yield connect


@pytest.fixture
async def repository(connect: Connect, registry: SimulatedRegistry) -> Repository:
    """A repository of the simulated registry."""
    return await connect(registry.host)
