"""A capture of the tiny archive, and a second server with an empty store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.debian_registry import DebianRegistry
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, later
from tests.fakes.house import House
from tests.fakes.registry import SimulatedRegistry
from tests.fakes.signing import SigningKey

AT = later(FIRST, 3600)
ABSENT = "dists/stable/main/i18n/Translation-en.xz"


@pytest.fixture
def asked(hamlet: Hamlet) -> tuple[str, ...]:
    """The requests of the build: a root, an index, packages by strong and by weak digest, and an absent file."""
    edition = hamlet.edition
    return (INRELEASE, PACKAGES, edition.kept.path, edition.old.path, edition.weak.path, ABSENT)


@pytest.fixture
async def recorded(hamlet: Hamlet, asked: tuple[str, ...], tmp_path: Path) -> AsyncIterator[House]:
    """A server that recorded the capture `build`."""
    async with House(tmp_path / "recorded", (hamlet.row,)) as house:
        for path in asked:
            await house.get(AT, path, capture="build")
        yield house


@pytest.fixture
async def elsewhere(hamlet: Hamlet, tmp_path: Path) -> AsyncIterator[House]:
    """A server with an empty store and no network."""
    async with House(tmp_path / "elsewhere", (hamlet.row,), offline=True) as house:
        yield house


@pytest.fixture(scope="session")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The keyring of a key that signed nothing here."""
    key = SigningKey(tmp_path_factory.mktemp("other") / "gnupg")
    yield key.keyring
    key.close()


@pytest.fixture(scope="session")
def debian_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """Debian's docker-registry, which has no referrers API."""
    with DebianRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
async def registry() -> AsyncIterator[SimulatedRegistry]:
    """A registry with the referrers API."""
    async with SimulatedRegistry() as registry:
        yield registry
