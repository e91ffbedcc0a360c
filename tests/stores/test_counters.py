"""Counters over processes, kills, restarts, full disks and damaged files."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from snapproxy_storage import StorageFailure, open_store
from snapproxy_storage.counters import LocalCounters
from snapproxy_storage.layout import COUNTERS_SUM
from snapproxy_storage.open_folder import OpenFolder


def files(state_dir: Path) -> set[str]:
    return {path.name for path in (state_dir / "counters").iterdir()}


async def totals_after_restart(state_dir: Path, cache_dir: Path) -> dict[str, int]:
    async with open_store(state_dir, cache_dir) as store:
        return {name: value for name, value in store.counters.totals().items() if value}


async def test_totals_cover_all_processes_and_survive_a_kill(store: Any, peer: Any) -> None:
    first, second = await peer(), await peer()
    for other in (first, second):
        await other.do("add a 5")
        await other.hear()
    store.counters.add("a")
    assert store.counters.totals()["a"] == 11
    await first.kill()
    assert store.counters.totals()["a"] == 11
    await store.counters.fold()
    await second.do("add a 2")
    await second.hear()
    assert store.counters.totals()["a"] == 13


async def test_gauges_end_with_their_process(store: Any, peer: Any) -> None:
    other = await peer()
    await other.do("gauge in-flight 5")
    await other.hear()
    store.counters.set_gauge("in-flight", 2)
    assert sorted(each["in-flight"] for each in store.counters.gauges()) == [2, 5]
    await other.kill()
    assert [each["in-flight"] for each in store.counters.gauges()] == [2]


async def test_totals_survive_restarts_in_one_file(state_dir: Path, cache_dir: Path) -> None:
    for _ in range(3):
        async with open_store(state_dir, cache_dir) as store:
            store.counters.add("a", 2)
    assert await totals_after_restart(state_dir, cache_dir) == {"a": 6}
    assert files(state_dir) == {"lock", "sums"}


async def test_a_process_that_counts_nothing_leaves_no_file(state_dir: Path, cache_dir: Path) -> None:
    async with open_store(state_dir, cache_dir) as store:
        assert store.counters.totals() == {}
        assert store.counters.gauges() == []
    assert files(state_dir) == set()


async def test_a_count_after_the_end_is_lost_and_harms_nothing(state_dir: Path, cache_dir: Path) -> None:
    async with open_store(state_dir, cache_dir) as store:
        cell = store.counters.cell("a")
    cell[0] += 1
    store.counters.add("a")
    assert await totals_after_restart(state_dir, cache_dir) == {}


async def test_a_kill_between_the_sums_and_the_removal_doubles_nothing(
    state_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    async with open_store(state_dir, cache_dir) as store:
        store.counters.add("a", 2)
        with monkeypatch.context() as patch:
            patch.setattr(LocalCounters, "_fold", lambda _: None)
            await store.counters.close()  # type: ignore[attr-defined]
    layout_names = files(state_dir)
    assert len(layout_names) == 1
    async with open_store(state_dir, cache_dir) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store.counters._folder, "remove", killed)  # type: ignore[attr-defined]
            with pytest.raises(KeyboardInterrupt):
                store.counters._fold()  # type: ignore[attr-defined]
        assert files(state_dir) == {"lock", "sums", *layout_names}
        assert store.counters.totals() == {"a": 2, "other": 0}
        await store.counters.fold()
        assert files(state_dir) == {"lock", "sums"}
        assert store.counters.totals()["a"] == 2


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_keeps_the_counts_in_memory(
    state_dir: Path,
    cache_dir: Path,
    error: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> int:
        raise OSError(error, "")

    async with open_store(state_dir, cache_dir) as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            store.counters.add("a")
        store.counters.add("a")
        store.counters.set_gauge("g", 1)
        assert store.counters.totals()["a"] == 2
        assert store.counters.gauges() == [{"g": 1}]
        assert "are kept in memory only" in caplog.text
        assert files(state_dir) == set()


async def test_a_full_disk_keeps_the_files_of_ended_processes(
    state_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(2):
        async with open_store(state_dir, cache_dir) as store:
            store.counters.add("a")
    assert await totals_after_restart(state_dir, cache_dir) == {"a": 2}
    monkeypatch.setattr(os, "fsync", real)
    async with open_store(state_dir, cache_dir) as store:
        await store.counters.fold()
        assert store.counters.totals()["a"] == 2
    assert files(state_dir) == {"lock", "sums"}


def failing(folder: OpenFolder, is_failing: Callable[[str], bool], error: int) -> OpenFolder:
    """Return the folder; files for which `is_failing` cannot be opened."""

    class Failing(OpenFolder):
        def open(self, name: str, flags: int, mode: int = 0o600) -> int:
            if is_failing(name):
                raise OSError(error, os.strerror(error))
            return super().open(name, flags, mode)

    return Failing(folder.path, folder.fd)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("is_sums", [True, False])
async def test_a_file_that_cannot_be_read_is_not_taken_for_an_empty_one(
    store: Any, peer: Any, state_dir: Path, *, error: int, is_sums: bool
) -> None:
    counters = store.counters
    counters.add("a")
    for _ in range(2):  # the sums of one process that has ended, and the file of another one
        other = await peer()
        await other.do("add a 5")
        await other.hear()
        await other.kill()
        if not (state_dir / "counters" / COUNTERS_SUM).exists():
            await counters.fold()
    before, sound = files(state_dir), counters._folder
    counters._folder = failing(sound, lambda name: is_sums is (name == COUNTERS_SUM), error)
    with pytest.raises(StorageFailure):
        await asyncio.to_thread(counters.totals)
    await counters.fold()
    assert files(state_dir) == before
    counters._folder = sound
    assert counters.totals()["a"] == 11
    await counters.fold()
    assert counters.totals()["a"] == 11


def test_several_threads_list_a_folder_at_a_time(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}").touch()
    folder = OpenFolder.root(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda _: len(folder.names()), range(400))]
    folder.close()
    assert set(found) == {300}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"totals": 1, "included": []}', b'{"totals": {"a": "x"}}', b"\xff"]
)
async def test_damaged_sums_start_at_zero(
    state_dir: Path, cache_dir: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(state_dir, cache_dir):
        (state_dir / "counters/sums").write_bytes(data)
    async with open_store(state_dir, cache_dir) as store:
        store.counters.add("a")
        assert store.counters.totals()["a"] == 1
        assert "start at zero" in caplog.text
    assert await totals_after_restart(state_dir, cache_dir) == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"snapproxy counters 1\n", b"\0" * 262_272])
async def test_a_damaged_file_of_an_ended_process_is_removed(
    state_dir: Path, cache_dir: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(state_dir, cache_dir) as store:
        (state_dir / "counters" / ("a" * 16)).write_bytes(data)
        (state_dir / "counters" / ("b" * 16 + ".new")).write_bytes(data)
        store.counters.add("a")
        assert store.counters.totals()["a"] == 1
        await store.counters.fold()
    assert "its counts are lost" in caplog.text
    assert files(state_dir) == {"lock", "sums"}


async def test_the_sums_are_bounded(state_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapproxy_storage.counters.MAX_KEPT", 3)
    for number in range(1, 6):
        async with open_store(state_dir, cache_dir) as store:
            store.counters.add(f"name {number}", number)
    totals = await totals_after_restart(state_dir, cache_dir)
    assert totals == {"name 4": 4, "name 5": 5, "other": 6}
