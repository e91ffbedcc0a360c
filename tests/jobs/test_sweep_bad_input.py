"""Inconsistent archives are refused with a message, and earlier observations remain."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.cli import times
from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.time_spec import format_instant
from snapproxy.families import FAMILIES
from snapproxy.jobs import sweep
from snapproxy.jobs.sweep import Observation
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, Timeline
from tests.fakes.hamlet import INRELEASE, PACKAGES, Edition
from tests.fakes.house import PATIENT, House
from tests.fakes.present import Present
from tests.fakes.services import MirrorService

HOUR = 3600
DB = "vendor/os/x86_64/vendor.db"
SOME, OTHER = (hashlib.sha256(seed).hexdigest() for seed in (b"some", b"other"))


def database(*entries: tuple[str, str]) -> bytes:
    """Write a pacman database of (file name, sha256)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for number, (file, digest) in enumerate(entries):
            fields = {"FILENAME": file, "NAME": "p", "VERSION": "1-1", "CSIZE": "3", "SHA256SUM": digest}
            desc = "".join(f"%{field}%\n{value}\n\n" for field, value in fields.items()).encode()
            member = tarfile.TarInfo(f"p{number}-1-1/desc")
            member.size = len(desc)
            tar.addfile(member, io.BytesIO(desc))
    return out.getvalue()


PACKAGE = "p-1-1-any.pkg.tar.zst"
GOOD = database((PACKAGE, SOME))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def shown() -> Timeline:
    shown = Timeline()
    show(shown, GOOD)
    return shown


def show(shown: Timeline, data: bytes) -> None:
    shown.publish("20240601T000000Z", FixedTree({DB: Content(data, 1_717_200_000)}, ()))


@pytest.fixture
def mirror(shown: Timeline) -> Iterator[ArchiveServer]:
    with ArchiveServer(MirrorService({"arch": shown}), name="mirror", address="127.0.0.3") as mirror:
        yield mirror
    assert not mirror.errors


@pytest.fixture
async def arch(mirror: ArchiveServer, tmp_path: Path) -> AsyncIterator[House]:
    row = Archive("arch", "pacman", "captured", mirrors=(f"{mirror.url}/arch",))
    async with House(tmp_path / "house", rows=(row,), timeouts=PATIENT) as house:
        yield house


async def observed(house: House, path: str) -> Instant:
    swept = await house.app.observe(house.rows[0].name, [path], with_packages=False)
    assert isinstance(swept, Observation), swept
    return swept.at


async def assert_only(house: House, path: str, data: bytes, at: Instant) -> None:
    """Check that the observation at `at` is the only one, and that its root is served."""
    name = house.rows[0].name
    listed = await times.timeline(house.app, name, 0, 1 << 40)
    assert not isinstance(listed, Refusal)
    assert [(each.first, each.last) for each in listed] == [(at, at)]
    assert (await house.get(format_instant(at), path)).data == data
    beyond = (await house.get(format_instant(at + 60), path)).refusal
    assert (beyond.status, beyond.reason.rpartition(" ")[2]) == (425, format_instant(at))


@pytest.mark.parametrize(
    "bad",
    [
        b"<html>It works!</html>",
        gzip.compress(b"no tar at all" * 100),
        GOOD[: len(GOOD) // 2],
    ],
    ids=["a page", "no tar", "half of one"],
)
async def test_a_database_that_is_none_is_not_observed(arch: House, shown: Timeline, bad: bytes) -> None:
    at = await observed(arch, DB)
    arch.clock.leap(HOUR)  # type: ignore[attr-defined]  # a LeapingClock
    show(shown, bad)
    refusal = await arch.app.observe("arch", [DB], with_packages=False)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 424
    assert DB in refusal.why
    await assert_only(arch, DB, GOOD, at)


async def test_a_database_that_lists_one_file_twice_promises_the_others(
    arch: House, shown: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    """Each observation reports it. It is logged once, when the database is read."""
    other = "other-1-1-any.pkg.tar.zst"
    show(shown, database((PACKAGE, SOME), (PACKAGE, OTHER), (other, SOME)))
    for _ in range(2):
        swept = await arch.app.observe("arch", [DB], with_packages=False)
        assert isinstance(swept, Observation)
        assert swept.dropped == 1
    folder = DB.rpartition("/")[0]
    assert (await arch.get(format_instant(swept.at), f"{folder}/{PACKAGE}")).refusal.why.endswith(
        "Its entry in the index was dropped: An index contradicts itself."
    )
    tables = arch.app.executor._planner._facts._tables  # type: ignore[attr-defined]
    digest = hashlib.sha256((await arch.get(format_instant(swept.at), DB)).data).hexdigest()
    assert [each.path for each in await tables.all(FAMILIES["pacman"], digest, DB)] == [f"{folder}/{other}"]
    assert [name for name, _ in await tables.entries(FAMILIES["pacman"], digest, DB)] == [f"{folder}/{other}"]
    assert await tables.expected(FAMILIES["pacman"], digest, DB, f"{folder}/{PACKAGE}") is None
    assert caplog.text.count("were dropped: 1. The first: An index contradicts itself") == 1


async def test_a_root_that_lists_only_an_index_twice_is_not_observed(
    vendor: House, present: Present, edition: Edition
) -> None:
    at, old = await observed(vendor, INRELEASE), present.tree.files[INRELEASE].data
    vendor.clock.leap(HOUR)  # type: ignore[attr-defined]  # a LeapingClock
    index = PACKAGES.removeprefix("dists/stable/")
    twice = f"Suite: stable\nSHA256:\n {SOME} 3 {index}\n {OTHER} 3 {index}\n".encode()
    root = Content(edition.key.clear(twice, at="20240701T000000Z"), 1_719_800_000)
    present.show(replace(present.tree, files={**present.tree.files, INRELEASE: root}))
    refusal = await vendor.app.observe("vendor", [INRELEASE], with_packages=False)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 424
    assert INRELEASE in refusal.why
    await assert_only(vendor, INRELEASE, old, at)


async def test_a_package_that_an_index_lists_twice_differently_is_not_served(
    vendor: House, present: Present, edition: Edition, caplog: pytest.LogCaptureFixture
) -> None:
    """The root and the index are observed as upstream serves them, and apt checks them itself."""
    path = "pool/main/p/p_1_amd64.deb"
    stanza = "Package: p\nVersion: 1\nArchitecture: amd64\nFilename: {}\nSize: 3\nSHA256: {}\n\n"
    data = gzip.compress("".join(stanza.format(path, digest) for digest in (SOME, OTHER)).encode(), mtime=0)
    index = PACKAGES.replace(".xz", ".gz")
    listed = f" {hashlib.sha256(data).hexdigest()} {len(data)} {index.removeprefix('dists/stable/')}\n"
    root = edition.key.clear(f"Suite: stable\nSHA256:\n{listed}".encode(), at="20240701T000000Z")
    present.show(FixedTree({INRELEASE: Content(root, 1_719_800_000), index: Content(data), path: Content(b"abc")}, ()))
    swept = await vendor.app.observe("vendor", [INRELEASE], with_packages=True)
    assert isinstance(swept, Observation)
    assert (swept.packages, swept.missing, swept.dropped) == (0, 0, 1)
    assert "The first: An index contradicts itself" in caplog.text
    assert (await vendor.get(format_instant(swept.at), index)).data == data
    assert (await vendor.get(format_instant(swept.at), path)).status == 424
