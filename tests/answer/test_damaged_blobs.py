"""Files of the store that were damaged on disk: never served, fetched again, and refused by name while offline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from snapproxy_storage import read_whole
from tests.fakes.damage import DAMAGES
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet, content_of
from tests.fakes.house import House, until

MakeHouse = Callable[..., Awaitable[House]]


def wanted(hamlet: Hamlet) -> dict[str, bytes]:
    """Return the bytes of a root, an index and a package at FIRST, by path."""
    package = hamlet.edition.kept
    found = {path: hamlet.content(path, FIRST).data for path in (INRELEASE, PACKAGES)}
    return found | {package.path: content_of(package).data}


async def store_all(house: House, files: dict[str, bytes]) -> None:
    """Request the files, and wait until they are stored: a body is complete shortly before that."""
    for path in files:
        await house.get(FIRST, path)
    await until(lambda: all(house.named(FIRST, path) for path in files))


def damage(house: House, how: str, only: str = "") -> None:
    for path in sorted((house.folder / "state/blobs/sha256").iterdir()):
        if path.name.startswith(only) and not path.is_dir():
            DAMAGES[how](path)


@pytest.mark.parametrize("how", DAMAGES)
async def test_every_damaged_file_is_fetched_again(make_house: MakeHouse, hamlet: Hamlet, how: str) -> None:
    house = await make_house()
    files = wanted(hamlet)
    await store_all(house, files)
    for again in (house, await make_house()):  # the process that stored them, and one that starts later
        damage(again, how)
        for path, data in files.items():
            got = await again.get(FIRST, path)
            assert (got.status, got.proof, got.data == data) == (200, "gpg", True), (path, got.outcome)


@pytest.mark.parametrize("how", ["cut", "flipped", "fifo"])
async def test_a_damaged_package_is_fetched_again_for_another_snapshot(
    make_house: MakeHouse, hamlet: Hamlet, how: str
) -> None:
    house = await make_house()
    package = content_of(hamlet.edition.kept)
    await store_all(house, wanted(hamlet))
    for path in (INRELEASE, PACKAGES):
        await house.get(SECOND, path)
    damage(house, how, package.sha256)
    got = await house.get(SECOND, hamlet.edition.kept.path)
    assert (got.status, got.proof, got.data == package.data) == (200, "gpg", True), got.outcome


@pytest.mark.parametrize("how", ["cut", "flipped", "folder"])
async def test_offline_the_refusal_says_that_the_file_was_damaged(
    make_house: MakeHouse, hamlet: Hamlet, how: str
) -> None:
    files = wanted(hamlet)
    house = await make_house()
    await store_all(house, files)
    await house.close()
    for path in reversed(files):  # the package first: it is found through the other two
        digest = hamlet.content(path, FIRST).sha256
        offline = await make_house(offline=True)
        damage(offline, how, digest)
        for _ in range(2):
            got = await offline.get(FIRST, path)
            assert (got.status, got.refusal.reason) == (424, "Offline: the stored file was damaged on disk"), path
        await offline.close()


async def test_a_capture_says_that_its_file_was_damaged(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house()
    package = hamlet.edition.kept
    await house.get(FIRST, package.path, capture="build")
    await house.app.captures.close("build")
    await house.close()
    offline = await make_house(offline=True)
    damage(offline, "flipped", content_of(package).sha256)
    got = await offline.get(FIRST, package.path, capture="build")
    assert got.status == 424
    assert "damaged" in got.refusal.reason


async def test_a_copied_store_serves_everything_offline(make_house: MakeHouse, hamlet: Hamlet, tmp_path: Path) -> None:
    files = wanted(hamlet)
    house = await make_house()
    await store_all(house, files)
    await house.close()
    for blob in sorted((house.folder / "state/blobs/sha256").iterdir()):
        data = blob.read_bytes()
        blob.unlink()
        blob.write_bytes(data)
    offline = await make_house(offline=True)
    for path, data in files.items():
        got = await offline.get(FIRST, path)
        assert (got.status, got.proof, got.data == data) == (200, "gpg", True), (path, got.outcome)


async def test_a_blob_by_digest_is_never_damaged(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house()
    package = content_of(hamlet.edition.kept)
    await store_all(house, wanted(hamlet))
    blob = await house.store.blobs.open(package.sha256)
    assert blob is not None
    assert await read_whole(blob, 1 << 20) == package.data
    damage(house, "lengthened", package.sha256)
    assert await house.store.blobs.open(package.sha256) is None
