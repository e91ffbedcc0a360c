"""Reading captures for pages: open and closed ones give the same, page by page, and a closed one is counted once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapproxy.capture.captures import Captures
from snapproxy.capture.reading import CaptureReader, UnknownCaptureError, why_unverified
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import RecordEntry
from snapproxy.errors import RecordError
from snapproxy_storage import Store, open_store

FAMILIES = {"debian": "apt", "debian-security": "apt"}


def entry(path: str, *, archive: str = "debian", proof: Proof = Proof.GPG, digest: str = "a" * 64) -> RecordEntry:
    return RecordEntry(archive, "20240601", "20240601T000000Z", path, Role.PACKAGE, proof, 5 if digest else 0, digest)


ENTRIES = (
    entry("pool/a.deb"),
    entry("pool/b.deb", digest="b" * 64),
    entry("pool/c.deb", digest=""),
    entry("pool/d.deb", archive="debian-security"),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state", tmp_path / "cache") as opened:
        yield opened


@pytest.fixture
def captures(store: Store) -> Captures:
    return Captures(store, families=FAMILIES, now=lambda: 1717200000)


@pytest.fixture
def reader(store: Store) -> CaptureReader:
    return CaptureReader(store, FAMILIES)


async def recorded(captures: Captures, name: str) -> None:
    writer = await captures.open(name)
    for each in ENTRIES:
        writer.note(each)


async def test_an_open_and_a_closed_capture_are_read_alike(captures: Captures, reader: CaptureReader) -> None:
    await recorded(captures, "one")
    opened = await reader.summary("one")
    assert (opened.is_closed, opened.archives) == (False, ("debian", "debian-security"))
    first = await reader.entries("one", after="", most=3)
    assert [each.path for each in first.entries] == ["pool/a.deb", "pool/b.deb", "pool/c.deb"]
    rest = await reader.entries("one", after=first.next_key, most=3)
    assert ([each.path for each in rest.entries], rest.next_key) == (["pool/d.deb"], "")
    record = await reader.record("one")

    await captures.close("one")
    closed = await reader.summary("one")
    assert closed == await captures.summary("one")
    assert (closed.files, closed.absences, closed.size, closed.archives) == (3, 1, 10, opened.archives)
    assert await reader.entries("one", after="", most=3) == first
    assert await reader.entries("one", after=first.next_key, most=3) == rest
    assert await reader.record("one") == record == await captures.record("one")


async def test_captures_are_listed_in_pages(captures: Captures, reader: CaptureReader) -> None:
    for name in ("b", "a", "c"):
        await recorded(captures, name)
    found, has_more = await reader.page("", 2)
    assert ([each.name for each in found], has_more) == (["a", "b"], True)
    found, has_more = await reader.page("b", 2)
    assert ([each.name for each in found], has_more) == (["c"], False)
    assert await reader.names(2) == ["a", "b"]


async def test_a_closed_capture_is_counted_once_under_any_name(captures: Captures, reader: CaptureReader) -> None:
    await recorded(captures, "one")
    await captures.close("one")
    before = await reader.summary("one")
    await captures.rename("one", "other")
    after = await reader.summary("other")
    assert (after.name, after.size) == ("other", before.size)


async def test_a_removed_capture_is_unknown(captures: Captures, reader: CaptureReader) -> None:
    await recorded(captures, "one")
    await captures.remove("one")
    for question in (reader.summary("one"), reader.record("one"), reader.entries("one", after="", most=1)):
        with pytest.raises(UnknownCaptureError):
            await question


async def test_an_archive_that_is_no_longer_configured_is_named(captures: Captures, store: Store) -> None:
    await recorded(captures, "one")
    reader = CaptureReader(store, {"debian": "apt"})
    assert (await reader.summary("one")).files == 3
    with pytest.raises(RecordError, match="not configured"):
        await reader.record("one")


@pytest.mark.parametrize("proof", list(Proof))
@pytest.mark.parametrize("role", list(Role))
def test_everything_but_a_checked_chain_has_a_reason(proof: Proof, role: Role) -> None:
    each = RecordEntry("debian", "20240601", "20240601T000000Z", "x", role, proof, 1, "a" * 64)
    assert bool(why_unverified(each)) == (proof is not Proof.GPG)
