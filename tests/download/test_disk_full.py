"""A full disk under the whole store: clients are served, nothing is named, and files are stored once there is room."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from snapproxy.base.metrics import UNSTORED
from snapproxy.core.model import Refusal
from snapproxy.download.unstored import KEPT_IN_MEMORY_SECONDS
from tests.fakes.content import FixedTree
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, Hamlet, content_of
from tests.fakes.house import House

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
MakeHouse = Callable[..., Awaitable[House]]


class Disk:
    """A small file system that can be filled to the last byte, and freed again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self.folder = folder
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(folder)], check=True)

    def fill(self) -> None:
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        (self.folder / "ballast").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def cache_disk(tmp_path: Path) -> Iterator[Disk]:
    """The file system of the index tables."""
    disk = Disk(tmp_path / "house" / "cache")
    yield disk
    disk.unmount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The file system of the store."""
    disk = Disk(tmp_path / "house" / "state")
    yield disk
    disk.unmount()


def stored(house: House) -> list[str]:
    """Return the files of the store, complete or not, and the names in its catalog."""
    names = [row[0] for row in house.store.catalog._read("SELECT name FROM name")]  # type: ignore[attr-defined]
    folders = [house.folder / "state" / name for name in ("blobs", "drafts")]
    return names + [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("when", [FIRST, "live"])
async def test_a_client_is_served_everything_and_nothing_is_stored(
    make_house: MakeHouse, hamlet: Hamlet, disk: Disk, when: str
) -> None:
    house = await make_house()
    disk.fill()
    package = hamlet.edition.kept
    state = FIRST if when == FIRST else SECOND
    wanted = {path: hamlet.content(path, state).data for path in (INRELEASE, PACKAGES)}
    wanted[package.path] = content_of(package).data
    for path, data in wanted.items():
        got = await house.get(when, path)
        assert (got.status, got.broke, got.data == data) == (200, "", True), (path, got.outcome)
    assert await asyncio.to_thread(stored, house) == []
    assert (await asyncio.to_thread(house.store.counters.totals))[UNSTORED.key()] >= len(wanted)
    assert len(hamlet.asked(INRELEASE)) <= 2, "a root that cannot be kept is not fetched for each of its indexes"
    disk.free()
    house.clock.leap(KEPT_IN_MEMORY_SECONDS)
    for _ in range(2):
        for path, data in wanted.items():
            got = await house.get(when, path)
            assert (got.status, got.data == data) == (200, True), path
        await asyncio.sleep(0.2)  # a body is complete shortly before its flight is finished
    assert got.served.proof.word == "gpg"
    assert got.served.cache == "HIT"
    assert not house.drafts
    if when == FIRST:
        assert {path for path, _ in house.store.catalog.names(f"debian/{FIRST}")} >= set(wanted)


async def test_a_disk_that_fills_after_the_index_still_verifies_the_package(
    make_house: MakeHouse, hamlet: Hamlet, disk: Disk
) -> None:
    house = await make_house()
    for path in (INRELEASE, PACKAGES):
        assert (await house.get(FIRST, path)).status == 200
    disk.fill()
    package = content_of(hamlet.edition.kept)
    got = await house.get(FIRST, hamlet.edition.kept.path)
    assert (got.data == package.data, got.broke, got.served.proof.word) == (True, "", "gpg")
    assert not house.drafts
    assert package.sha256 not in await asyncio.to_thread(stored, house)


async def test_a_stored_file_is_served_though_its_new_name_cannot_be_written(
    make_house: MakeHouse, hamlet: Hamlet, disk: Disk
) -> None:
    house = await make_house()
    for path in (INRELEASE, PACKAGES, hamlet.edition.kept.path):
        assert (await house.get(FIRST, path)).status == 200
    assert (await house.get(SECOND, INRELEASE)).status == 200
    assert (await house.get(SECOND, PACKAGES)).status == 200
    disk.fill()
    got = await house.get(SECOND, hamlet.edition.kept.path)
    assert (got.status, got.served.cache) == (200, "HIT")
    assert hamlet.edition.kept.path not in dict(house.store.catalog.names(f"debian/{SECOND}"))
    disk.free()
    assert (await house.get(SECOND, hamlet.edition.kept.path)).status == 200
    assert hamlet.edition.kept.path in dict(house.store.catalog.names(f"debian/{SECOND}"))


async def test_with_detached_signatures_too(make_house: MakeHouse, hamlet: Hamlet, disk: Disk) -> None:
    """The signature cannot be stored, so its root is refused rather than served unchecked."""
    tree = hamlet.edition.trees[FIRST]
    hamlet.publish(FIRST, FixedTree({path: each for path, each in tree.files.items() if path != INRELEASE}))
    house = await make_house()
    disk.fill()
    got = await house.get(FIRST, RELEASE)
    assert got.status == 424
    assert "disk" in got.refusal.reason
    disk.free()
    house.clock.leap(60)
    assert (await house.get(FIRST, RELEASE)).served.proof.word == "gpg"
    assert (await house.get(FIRST, SIGNATURE)).status == 200


@pytest.mark.parametrize("when", [FIRST, "live"])
async def test_a_full_disk_under_the_cache_alone(
    make_house: MakeHouse, hamlet: Hamlet, cache_disk: Disk, when: str
) -> None:
    """The index tables cannot be written."""
    house = await make_house()
    cache_disk.fill()
    state = FIRST if when == FIRST else SECOND
    wanted = {path: hamlet.content(path, state).data for path in (INRELEASE, PACKAGES)}
    wanted[hamlet.edition.kept.path] = content_of(hamlet.edition.kept).data
    for path, data in wanted.items():
        got = await house.get(when, path)
        assert (got.status, got.data == data) == (200, True), (path, got.outcome)


async def test_an_index_that_is_longer_than_what_is_left_is_served_whole(
    make_house: MakeHouse, hamlet: Hamlet, disk: Disk
) -> None:
    """It was answered 200 with 0 bytes: the part on disk was closed before the client read it."""
    house = await make_house()
    await house.get(FIRST, INRELEASE)
    disk.fill()
    with (disk.folder / "ballast").open("r+b") as ballast:
        ballast.truncate(ballast.seek(0, os.SEEK_END) - 8192)
    for _ in range(2):
        got = await house.get(FIRST, PACKAGES)
        assert (got.status, got.broke, got.data == hamlet.content(PACKAGES, FIRST).data) == (200, "", True)


async def test_a_file_too_long_for_the_memory_names_the_disk(
    make_house: MakeHouse, hamlet: Hamlet, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await make_house()
    for path in (INRELEASE, PACKAGES):
        await house.get(FIRST, path)
    disk.fill()
    monkeypatch.setattr(house.store.drafts._budget, "limit", 10)  # type: ignore[attr-defined]
    got = await house.get(SECOND, PACKAGES)
    assert (got.status, got.refusal.reason) == (424, "The disk of snapproxy is full")
    assert "is full" in await house.app.ready() or "free some space" in await house.app.ready()
    assert house.store.drafts._budget.used == 0  # type: ignore[attr-defined]
    disk.free()
    monkeypatch.setattr("snapproxy_storage.drafts._RECENT_SECONDS", 0.0)
    assert await house.app.ready() == ""


async def test_an_observation_names_the_full_disk(make_house: MakeHouse, hamlet: Hamlet, disk: Disk) -> None:
    house = await make_house()
    disk.fill()
    outcome = await house.app.observe("debian", [INRELEASE], with_packages=False)
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "The disk of snapproxy is full, or its quota is used"
