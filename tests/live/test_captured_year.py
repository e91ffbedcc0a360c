"""The storage cost of a year of hourly observations: each distinct version once, and little for an unchanged one.

A real sweep observes a real server, whose unchanged root is a 304; the bytes on disk are counted, the catalog included.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from snapproxy.archives import HISTORIES
from snapproxy.core.model import Archive, Instant
from snapproxy.core.time_spec import format_instant
from snapproxy.jobs.sweep import Observation
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, Timeline, stamp
from tests.fakes.hamlet import INRELEASE, Edition
from tests.fakes.house import PATIENT, House
from tests.fakes.services import MirrorService

ENTRIES, CHANGED = 60_000, 600
HOURS, YEAR = 24, 365
HOUR = 3600
INDEX = "main/binary-amd64/Packages.gz"
MOST_QUERIES = 3
BEGAN = 1_717_200_000


class Vendor:
    """An archive of one index, of whose entries a hundredth is new each day."""

    def __init__(self, edition: Edition) -> None:
        self._key = edition.key
        self._stanzas = [self._stanza(number, 0) for number in range(ENTRIES)]
        self.shown = Timeline()
        self.distinct = 0

    def publish(self, day: int) -> FixedTree:
        """Show the next day's version, and count its bytes."""
        for number in range(day * CHANGED, (day + 1) * CHANGED):
            self._stanzas[number % ENTRIES] = self._stanza(number % ENTRIES, day)
        index = gzip.compress("".join(self._stanzas).encode(), compresslevel=1, mtime=0)
        at = BEGAN + day * HOURS * HOUR
        listed = f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} {INDEX}\n"
        release = (
            f"Suite: stable\nDate: {formatdate(at, usegmt=True)}\nComponents: main\nArchitectures: amd64\n{listed}"
        )
        root = self._key.clear(release.encode(), at=stamp(at))
        files = {INRELEASE: Content(root, at), f"dists/stable/{INDEX}": Content(index, at)}
        self.distinct += sum(content.size for content in files.values())
        tree = FixedTree(files, ())
        self.shown.publish(stamp(BEGAN), tree)
        return tree

    @staticmethod
    def _stanza(number: int, day: int) -> str:
        name, digest = f"package-{number:06d}", hashlib.sha256(b"%d %d" % (number, day)).hexdigest()
        path = f"pool/main/p/{name}/{name}_{day}-1_amd64.deb"
        return (
            f"Package: {name}\nVersion: {day}-1\nArchitecture: amd64\nFilename: {path}\nSize: 1\nSHA256: {digest}\n\n"
        )


@dataclass(frozen=True)
class Cost:
    """The cost of so many observations. Bytes are those of the blocks on the disk."""

    days: int
    distinct: int
    state: int
    cache: int
    seconds: float

    @property
    def unchanged(self) -> int:
        return self.days * (HOURS - 1)

    @property
    def allowed(self) -> float:
        return 1.2 * self.distinct + 100 * self.unchanged

    def __str__(self) -> str:
        beyond = self.state - self.distinct
        return (
            f"{self.days * HOURS} observations in {self.seconds:.0f} s: {self.distinct:,} bytes "
            f"in {self.days} versions, {self.state:,} on the disk "
            f"({self.state / self.distinct:.4f} x, {beyond:,} beyond them, allowed "
            f"{self.allowed - self.distinct:,.0f}), {self.cache:,} in the cache"
        )


@pytest.fixture
def vendor(edition: Edition) -> Iterator[tuple[Vendor, ArchiveServer]]:
    archive = Vendor(edition)
    server = ArchiveServer(MirrorService({"debian": archive.shown}), name="mirror", address="127.0.0.3")
    with server:
        yield archive, server
    assert not server.errors


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


async def look_hourly(
    days: int, archive: Vendor, server: ArchiveServer, row: Archive, folder: Path
) -> tuple[Cost, list[Instant]]:
    """Observe every hour for so many days.

    Return the cost once the store is closed, and the instant at which each day's version was first observed.
    """
    began, first_seen = time.monotonic(), []
    async with House(folder, rows=(row,), timeouts=PATIENT) as house:
        for day in range(days):
            archive.publish(day)
            for hour in range(HOURS):
                swept = await house.app.observe("vendor", [INRELEASE], with_packages=False)
                assert isinstance(swept, Observation), swept
                assert bool(swept.changed) == (hour == 0)
                if hour == 0:
                    first_seen.append(swept.at)
                house.clock.leap(HOUR)  # type: ignore[attr-defined]  # a LeapingClock
            server.reset_counts()
    cost = Cost(
        days, archive.distinct, bytes_in(folder / "state"), bytes_in(folder / "cache"), time.monotonic() - began
    )
    return cost, first_seen


async def assert_resolves(house: House, row: Archive, first_seen: list[Instant]) -> None:
    """Check that any instant resolves to its day's version with three look-ups at most."""
    catalog, asked = house.store.catalog, list[str]()
    read = catalog._read  # type: ignore[attr-defined]  # where every SQL query of a reader passes

    def noted(statement: str, *values: Any) -> Any:
        asked.append(statement)
        return read(statement, *values)

    catalog._read = noted  # type: ignore[attr-defined]
    for first in first_seen:
        for instant in (first, first + 7 * HOUR + 11):
            asked.clear()
            (sighting,) = house.app.observations.sightings(row, HISTORIES["captured"], (INRELEASE,), instant)
            assert sighting.before is not None
            assert (sighting.before.first, sighting.before.snapshot) == (first, format_instant(first))
            assert len(asked) <= MOST_QUERIES
    for statement in set(asked):
        values = ("k", 0)[: statement.count("?")]
        reader = catalog._reader  # type: ignore[attr-defined]
        plan = reader.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        assert all("SEARCH" in step[-1] and "USING" in step[-1] for step in plan), plan


async def observe_for(days: int, vendor: tuple[Vendor, ArchiveServer], edition: Edition, tmp_path: Path) -> None:
    archive, server = vendor
    mirrors, keyrings = (f"{server.url}/debian",), (str(edition.key.keyring),)
    row = Archive("vendor", "apt", "captured", mirrors=mirrors, keyrings=keyrings)
    cost, first_seen = await look_hourly(days, archive, server, row, tmp_path / "house")
    print(f"\n{cost}")
    assert cost.state <= cost.allowed
    async with House(tmp_path / "house", rows=(row,), timeouts=PATIENT) as house:
        await assert_resolves(house, row, first_seen)


async def test_days_of_hourly_observations_cost_their_versions_and_little_more(
    vendor: tuple[Vendor, ArchiveServer], edition: Edition, tmp_path: Path
) -> None:
    await observe_for(5, vendor, edition, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_year_of_hourly_observations_costs_its_versions_and_little_more(
    vendor: tuple[Vendor, ArchiveServer], edition: Edition, tmp_path: Path
) -> None:
    await observe_for(YEAR, vendor, edition, tmp_path)
