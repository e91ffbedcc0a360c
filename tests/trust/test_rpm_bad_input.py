"""Metadata that contradict themselves, are bombs, or lead elsewhere: refused, and nothing looks verified."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snapproxy.core.model import Archive
from snapproxy.families.rpm.indexes import MAX_ROOT
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, Timeline
from tests.fakes.house import House
from tests.fakes.rpm_texts import package, primary, repomd
from tests.fakes.services import SnapshotService

WHEN = "20240601T000000Z"
ROOT, PRIMARY, RPM = "r/repodata/repomd.xml", "r/repodata/primary.xml.gz", "r/a.rpm"
INDEX = "repodata/primary.xml.gz"
DOCTYPE = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
GOOD = primary(package("a.rpm", "a", size=1))


def pack(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def expected(name: str, data: bytes) -> str:
    """Return an entry of repomd.xml that lists these bytes."""
    digest = hashlib.sha256(data).hexdigest()
    place = f'<location href="{name}"/><size>{len(data)}</size>'
    return f'<data type="primary"><checksum type="sha256">{digest}</checksum>{place}</data>'


@dataclass
class Vendor:
    """A repository whose files a test writes."""

    server: ArchiveServer
    files: dict[str, Content] = field(default_factory=dict)

    def publish(self, root: str, index: bytes) -> None:
        self.files |= {ROOT: Content(root.encode()), PRIMARY: Content(index), RPM: Content(b"a")}


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    timeline, files = Timeline(), dict[str, Content]()
    for day in range(1, 5):
        timeline.publish(f"202406{day:02}T000000Z", FixedTree(files))
    with ArchiveServer(SnapshotService({"vendor": timeline}), name="vendor", address="127.0.0.8") as server:
        yield Vendor(server, files)


@pytest.fixture
async def house(vendor: Vendor, tmp_path: Path) -> AsyncIterator[House]:
    row = Archive("vendor", "rpm", "snapshots", snapshot=(f"{vendor.server.url}/archive/vendor",))
    async with House(folder=tmp_path / "house", rows=(row,)) as house:
        yield house


async def shown(house: House, path: str) -> tuple[int, str]:
    """Return the status, and the proof or the reason for a refusal."""
    got = await house.get(WHEN, path)
    return got.status, got.refusal.reason if got.status != 200 else got.proof


async def test_a_valid_repository_is_verified(vendor: Vendor, house: House) -> None:
    vendor.publish(repomd(expected(INDEX, pack(GOOD))), pack(GOOD))
    assert [await shown(house, path) for path in (ROOT, PRIMARY, RPM)] == [
        (200, "none"),
        (200, "index"),
        (200, "index"),
    ]


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (repomd(expected(INDEX, pack(primary()))), "Upstream's file does not have the size that the index lists"),
        (repomd(expected(INDEX, b"x"), expected(INDEX, b"y")), "The archive's root cannot be read"),
        (repomd(expected("../../x", b"x")), "The archive's root cannot be read"),
        (repomd(expected("http://other.example/x", b"x")), "The archive's root cannot be read"),
        (DOCTYPE + repomd(expected(INDEX, b"x")), "The archive's root cannot be read"),
        (repomd(expected(INDEX, b"x")) + " " * MAX_ROOT, "The archive's root cannot be read"),
        (
            repomd(expected(INDEX, b"x").replace("<size>1<", "<size>" + "9" * 30 + "<")),
            "The archive's root cannot be read",
        ),
    ],
)
async def test_a_bad_root_is_refused_at_the_latest_with_its_first_index(
    vendor: Vendor, house: House, root: str, reason: str
) -> None:
    """No package of it is reported as verified."""
    vendor.publish(root, pack(GOOD))
    assert await shown(house, PRIMARY) == (424, reason)
    status, told = await shown(house, RPM)
    assert (status, told) == (200, "none") or status == 502


@pytest.mark.parametrize(
    "index",
    [
        pack(DOCTYPE + GOOD),
        pack(" " * (64 << 20)),
        pack(primary(package("a.rpm", "a"), package("./a.rpm", "b"))),
        pack(primary(package("../../a.rpm", "a"))),
        pack(primary(package("a.rpm", "a").replace("href=", 'xml:base="http://other.example/" href='))),
        pack(GOOD)[:-9],
        b"no index",
    ],
    ids=["entities", "bomb", "two-digests", "escape", "elsewhere", "cut", "garbage"],
)
async def test_an_unreadable_index_verifies_nothing(vendor: Vendor, house: House, index: bytes) -> None:
    """It is served, since it matches its root; its package is not reported as verified."""
    vendor.publish(repomd(expected(INDEX, index)), index)
    assert await shown(house, PRIMARY) == (200, "index")
    assert await shown(house, RPM) == (200, "none")
