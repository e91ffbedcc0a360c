"""Listings of indexes: derived data like index tables, which may be lost or damaged at any time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from snapproxy.core.listing import PackageVersion
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.families import LISTERS
from snapproxy.indexes.helper_process import HelperProcess
from snapproxy.indexes.table_format import decode_package, encode_package
from tests.fakes.content import Content, epoch
from tests.fakes.hamlet import FIRST, PACKAGES, Hamlet
from tests.fakes.house import House

MakeHouse = Callable[..., Awaitable[House]]
LISTED = [PackageVersion(name, "amd64", "1", name, "1") for name in ("kept", "moved", "weak")]


def tables(house: House) -> list[Path]:
    return [path for path in (house.folder / "cache/tables" / LISTERS["apt"].parser).iterdir() if path.is_file()]


async def listed(house: House, hamlet: Hamlet) -> list[PackageVersion]:
    await house.get(FIRST, PACKAGES)
    return await house.app.listings.packages("apt", hamlet.content(PACKAGES).sha256, PACKAGES)


def test_a_package_is_read_as_it_was_written() -> None:
    package = PackageVersion("b\u00e9ton", "all", "1:2~3-4", "src", "2")
    assert decode_package(encode_package(package)) == package


async def test_an_index_is_read_once(house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await listed(house, hamlet) == LISTED

    async def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(HelperProcess, "build", never)
    assert await listed(house, hamlet) == LISTED


async def test_a_listing_that_is_damaged_is_made_again(house: House, hamlet: Hamlet) -> None:
    assert await listed(house, hamlet) == LISTED
    (table,) = tables(house)
    table.chmod(0o600)
    with table.open("r+b") as file:
        file.seek(20)
        file.write(b"\xff" * 8)
    assert await listed(house, hamlet) == LISTED


async def test_an_index_that_is_gone_from_the_store_is_an_error(house: House) -> None:
    with pytest.raises(StorageError, match="removed from the store"):
        await house.app.listings.packages("apt", "ab" * 32, PACKAGES)


async def test_a_malformed_index_is_the_archives_fault(house: House, hamlet: Hamlet) -> None:
    path = "flat/Packages"
    content = Content(b"Package: a\nPackage: b\n", epoch(FIRST))
    hamlet.place(path, content)
    await house.get(FIRST, path)
    with pytest.raises(ArchiveDataError, match="duplicate field"):
        await house.app.listings.packages("apt", content.sha256, path)
