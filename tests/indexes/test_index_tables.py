"""Index tables and the process that builds them: derived data, which may be lost or damaged at any time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from snapproxy.base.metrics import HELPER_DEATHS, HELPER_STARTS
from snapproxy.errors import ArchiveDataError
from snapproxy.families import FAMILIES
from snapproxy.indexes import helper_process, index_tables
from snapproxy.indexes.helper_process import HelperProcess
from snapproxy.indexes.index_tables import IndexTables
from tests.fakes.content import Content, epoch
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, Hamlet
from tests.fakes.house import House, until

MakeHouse = Callable[..., Awaitable[House]]
APT = FAMILIES["apt"]


@pytest.fixture
async def updated(house: House) -> House:
    for path in (INRELEASE, PACKAGES):
        await house.get(FIRST, path)
    return house


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list to which each build of a table is added, by its arguments."""
    jobs: list[object] = []
    real = HelperProcess.build

    async def counted(self, *job) -> None:
        jobs.append(job)
        await real(self, *job)

    monkeypatch.setattr(HelperProcess, "build", counted)
    return jobs


def tables(house: House) -> list[Path]:
    return [path for path in (house.folder / "cache/tables").rglob("*") if path.is_file()]


def tables_of(house: House) -> IndexTables:
    return house.app.executor._planner._facts._tables


async def is_listed(house: House, hamlet: Hamlet) -> bool:
    index = hamlet.content(PACKAGES)
    path = hamlet.edition.kept.path
    return await tables_of(house).expected(APT, index.sha256, PACKAGES, path) is not None


async def test_one_index_is_parsed_once_however_many_ask(updated: House, hamlet: Hamlet, builds: list[object]) -> None:
    assert all(await asyncio.gather(*(is_listed(updated, hamlet) for _ in range(20))))
    assert len(builds) == 1


async def test_a_table_that_is_lost_is_built_again(updated: House, make_house: MakeHouse, hamlet: Hamlet) -> None:
    assert await is_listed(updated, hamlet)
    await updated.close()
    for table in tables(updated):
        table.unlink()
    assert await is_listed(await make_house(), hamlet)


async def test_a_table_that_is_damaged_is_built_again(updated: House, make_house: MakeHouse, hamlet: Hamlet) -> None:
    """Seen when it is opened, or, as here, only when the damaged block is read."""
    assert await is_listed(updated, hamlet)
    await updated.close()
    for name in tables(updated):
        name.chmod(0o600)
        with name.open("r+b") as file:
            file.seek(20)
            file.write(b"\xff" * 8)
    heir = await make_house()
    for _ in range(2):
        assert await is_listed(heir, hamlet)


async def test_the_open_tables_are_bounded_and_the_oldest_closed(
    updated: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_tables, "OPEN_TABLES", 1)
    for when in (FIRST, SECOND, FIRST):
        for path in (INRELEASE, PACKAGES):
            await updated.get(when, path)
        assert (await updated.get(when, hamlet.edition.kept.path)).served.proof.word == "gpg"
        assert len(tables_of(updated)._open) == 1


async def test_a_hangup_does_not_end_the_helper(updated: House) -> None:
    """A terminal sends SIGHUP to the helper as well, and the server does not end by it."""
    helper = tables_of(updated)._helper
    process = await helper._running()
    status = Path(f"/proc/{process.pid}/status")
    await until(lambda: _ignored(status.read_text(encoding="ascii"), signal.SIGHUP))


def _ignored(status: str, number: signal.Signals) -> bool:
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


async def test_a_helper_that_dies_is_one_refused_index_and_another_is_started(
    updated: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tables_of(updated)._helper
    process = await helper._running()
    process.send_signal(signal.SIGSTOP)
    asked = asyncio.create_task(is_listed(updated, hamlet))
    await asyncio.sleep(0.05)
    process.kill()
    with pytest.raises(ArchiveDataError, match="could not be parsed"):
        await asked
    assert await is_listed(updated, hamlet)
    totals = await asyncio.to_thread(updated.store.counters.totals)
    assert totals[HELPER_DEATHS.key()] == 1
    assert totals[HELPER_STARTS.key()] >= 2


async def test_an_index_that_takes_too_long_is_refused_and_not_tried_again(updated: House, hamlet: Hamlet) -> None:
    helper = tables_of(updated)._helper
    (await helper._running()).send_signal(signal.SIGSTOP)
    asked = asyncio.create_task(is_listed(updated, hamlet))
    await asyncio.sleep(0.05)
    updated.clock.leap(601)
    with pytest.raises(ArchiveDataError, match="in time"):
        await asked
    with pytest.raises(ArchiveDataError, match="in time"):
        await is_listed(updated, hamlet)


async def test_an_index_that_cannot_be_read_is_parsed_once(
    updated: House, hamlet: Hamlet, builds: list[object]
) -> None:
    path = "pool/main/k/kept/broken/Packages"
    hamlet.place(path, Content(b"this is no index\n" * 10, epoch(FIRST)))
    digest = (await updated.get(FIRST, path)).served.digest or hamlet.timeline.at(FIRST)[1].get(path).sha256
    await until(lambda: updated.store.blobs.peek(digest) is not None)
    for _ in range(3):
        with pytest.raises(ArchiveDataError):
            await tables_of(updated).entries(APT, digest, "dists/stable/main/binary-amd64/Packages")
    assert len(builds) == 1


async def test_the_helper_stops_when_idle(updated: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_process, "IDLE_SECONDS", 0.05)
    assert await is_listed(updated, hamlet)
    helper = tables_of(updated)._helper
    await until(lambda: helper._process is None)
