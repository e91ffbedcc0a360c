"""What a year of hourly observations costs: distinct versions once, and next to nothing for looking again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapproxy.archives import HISTORIES
from snapproxy.core.model import Archive, Proof
from snapproxy.core.steps import Held
from snapproxy.families import FAMILIES
from snapproxy.shell.clock import SystemClock
from snapproxy.shell.observations import Observations, Seen
from snapproxy.shell.promises import Helper, Promises
from storage import Draft, Store, open_store

ENTRIES, CHANGED = 60_000, 600
HOURS, DAYS = 24, 365
START = 1_717_200_000
ROOT = "dists/stable/InRelease"
ROW = Archive("vendor", "apt", "captured")
APT = FAMILIES["apt"]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    for folder in ("state", "cache"):
        (tmp_path / folder).mkdir(mode=0o700)
    store = open_store(tmp_path / "state", tmp_path / "cache")
    yield store
    await store.close()


def bytes_in(folder: Path) -> int:
    """What is on the disk for good; SQLite's write-ahead log (4 MB at most) is used over and over."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(("-wal", "-shm"))]
    return sum(file.stat().st_blocks * 512 for file in files)


def version(day: int) -> bytes:
    """An index in which a hundredth of the entries is new each day, and its root's bytes stand for nothing but a digest."""
    lines = (f"{name:06d} {(day * CHANGED + name) // ENTRIES:040x}" for name in range(ENTRIES))
    return "\n".join(lines).encode()


async def keep(store: Store, data: bytes) -> Held:
    digest = hashlib.sha256(data).hexdigest()
    draft = begin(store, digest)
    await draft.write(data)
    await draft.seal()
    blob = await draft.commit()
    blob.close()
    return Held(ROOT, digest, len(data), Proof.GPG)


def begin(store: Store, key: str) -> Draft:
    draft = store.drafts.begin(key)
    assert isinstance(draft, Draft)
    return draft


async def test_a_version_is_stored_once_and_an_unchanged_look_costs_no_row(store: Store, tmp_path: Path) -> None:
    seen = Observations(store.catalog, Promises(store, Helper(tmp_path / "cache", SystemClock())))
    distinct = 0
    days = 12
    for day in range(days):
        data = version(day)
        distinct += len(data)
        held = await keep(store, data)
        for hour in range(HOURS):
            assert await seen.record(ROW, APT, [Seen(held)], START + (day * HOURS + hour) * 3600)
    assert bytes_in(tmp_path / "state") <= 1.2 * distinct + 100 * days * (HOURS - 1)


@pytest.mark.long
async def test_a_years_names_cost_less_than_a_hundred_bytes_a_look(store: Store, tmp_path: Path) -> None:
    seen = Observations(store.catalog, Promises(store, Helper(tmp_path / "cache", SystemClock())))
    before = bytes_in(tmp_path / "state")
    for look in range(DAYS * HOURS):
        held = Held(ROOT, hashlib.sha256(str(look // HOURS).encode()).hexdigest(), 1, Proof.GPG)
        assert await seen.record(ROW, APT, [Seen(held)], START + look * 3600)
    await store.close()
    assert bytes_in(tmp_path / "state") - before <= 100 * DAYS * (HOURS - 1)
    store = open_store(tmp_path / "state", tmp_path / "cache")
    seen = Observations(store.catalog, Promises(store, Helper(tmp_path / "cache", SystemClock())))
    for day in (0, 100, 364):
        (sighting,) = seen.sightings(ROW, HISTORIES["captured"], (ROOT,), START + day * 86400 + 7)
        assert sighting.before is not None
        assert sighting.before.first == START + day * 86400
    await store.close()
