"""The cache folder. Damaged, planted or deleted files count as absent and never give a wrong answer."""

from __future__ import annotations

import pickle
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapproxy_storage import StorageFailure, Store
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.tables import LocalTables
from snapproxy_storage.threads import Threads

DIGEST = "a" * 64


class Trap:
    """An object whose unpickling creates a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("raw", [0, 1])
async def test_a_planted_pickle_is_never_loaded(
    store: Store, cache_dir: Path, tmp_path: Path, mode: int, raw: int
) -> None:
    await store.expiring.put("k", 1, seconds=60)
    trap = pickle.dumps(Trap(tmp_path / "trace"))
    key: Any = "k" if raw else pickle.dumps(Trap(tmp_path / "trace"))
    connection = sqlite3.connect(cache_dir / "ephemera/cache.db")
    connection.execute("UPDATE Cache SET key = ?, raw = ?, mode = ?, value = ?", (key, raw, mode, trap))
    connection.commit()
    connection.close()
    assert await store.expiring.get("k") is None
    assert not (tmp_path / "trace").exists()


async def test_a_row_that_points_to_a_file_is_not_followed(store: Store, cache_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('"secret"')
    await store.expiring.put("k", 1, seconds=60)
    connection = sqlite3.connect(cache_dir / "ephemera/cache.db")
    for mode in (1, 2, 3, 4):
        connection.execute("UPDATE Cache SET mode = ?, filename = ?, value = NULL", (mode, str(tmp_path / "secret")))
        connection.commit()
        assert await store.expiring.get("k") is None
    connection.close()


async def test_a_damaged_ephemera_is_absent_and_no_error(store: Store, cache_dir: Path) -> None:
    (cache_dir / "ephemera/cache.db").write_bytes(b"no database" * 1000)
    await store.expiring.put("k", 1, seconds=60)
    assert await store.expiring.get("k") is None
    await store.expiring.put("k", 2, seconds=60)
    assert await store.expiring.get("k") == 2, "the damaged file was replaced"


async def test_a_flipped_value_is_absent(store: Store, cache_dir: Path) -> None:
    await store.expiring.put("k", {"until": 1000}, seconds=60)
    with sqlite3.connect(cache_dir / "ephemera/cache.db") as connection:
        connection.execute("UPDATE Cache SET value = replace(value, '1000', '9000')")
    connection.close()
    assert await store.expiring.get("k") is None


async def test_ephemera_stay_within_their_bound(cache_dir: Path) -> None:
    # only this test needs another bound than the store's
    from snapproxy_storage.expiring import LocalExpiring  # noqa: PLC0415

    folder, threads = OpenFolder.root(cache_dir), Threads()
    expiring = LocalExpiring(folder, threads, max_bytes=1 << 20)
    for n in range(400):
        await expiring.put(f"k{n}", "x" * 20_000, seconds=60)
    assert sum(path.stat().st_size for path in cache_dir.iterdir() if path.suffix == ".db") < 3 << 20
    assert await expiring.get("k399") == "x" * 20_000
    assert await expiring.get("k0") is None
    expiring.close()
    threads.close()
    folder.close()


def built(store: Store, cache_dir: Path) -> Path:
    store.tables.build(DIGEST, "v", ((f"pool/{n:05}", b"value" * 20) for n in range(2000)))
    return cache_dir / "tables/v" / DIGEST


@pytest.mark.parametrize("left", [0, 1, 20, 16_000, 100_000, -1])
def test_a_cut_table_is_absent(store: Store, cache_dir: Path, left: int) -> None:
    path = built(store, cache_dir)
    path.write_bytes(path.read_bytes()[:left])
    assert store.tables.open(DIGEST, "v") is None


def test_a_damaged_index_makes_the_table_absent(store: Store, cache_dir: Path) -> None:
    path = built(store, cache_dir)
    data = bytearray(path.read_bytes())
    for at in (0, -1, -10, -20, -40):
        damaged = bytearray(data)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        assert store.tables.open(DIGEST, "v") is None


def test_a_damaged_block_raises_and_is_absent_from_then_on(store: Store, cache_dir: Path) -> None:
    """Not None: that would mean that the index does not list the file."""
    path = built(store, cache_dir)
    data = bytearray(path.read_bytes())
    data[20_000] ^= 1
    path.write_bytes(data)
    table = store.tables.open(DIGEST, "v")
    assert table is not None
    assert table.get("pool/01999") == b"value" * 20
    with pytest.raises(StorageFailure, match="build it again"):
        list(table.items())
    table.close()
    assert store.tables.open(DIGEST, "v") is None
    built(store, cache_dir)
    assert store.tables.open(DIGEST, "v") is not None


def test_a_reader_keeps_its_table_when_another_is_published(store: Store, cache_dir: Path) -> None:
    built(store, cache_dir)
    table = store.tables.open(DIGEST, "v")
    assert table is not None
    store.tables.build(DIGEST, "v", [("other", b"x")])
    assert table.get("pool/00000") == b"value" * 20
    table.close()


def test_a_build_that_fails_leaves_what_was_there(store: Store, cache_dir: Path) -> None:
    path = built(store, cache_dir)

    def broken() -> Any:
        yield "x", b"1"
        raise RuntimeError("the index is bad")

    with pytest.raises(RuntimeError):
        store.tables.build(DIGEST, "v", broken())
    assert store.tables.open(DIGEST, "v") is not None
    assert list(path.parent.iterdir()) == [path]


rows = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=40), max_size=60)


@settings(deadline=None)
@given(
    rows=rows,
    repeats=st.booleans(),
    sort_bytes=st.sampled_from([1, 2000, 1 << 20]),
    other=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_table_is_a_sorted_mapping(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, bytes], repeats: bool, sort_bytes: int, other: str
) -> None:
    """With any limit on the memory of the sort."""
    folder = OpenFolder.root(tmp_path_factory.getbasetemp() / "mapping")
    tables = LocalTables(folder, sort_bytes=sort_bytes)
    tables.build(DIGEST, "v", list(reversed(rows.items())) * (2 if repeats else 1))
    table = tables.open(DIGEST, "v")
    assert table is not None
    assert list(table.items()) == sorted(rows.items())
    for name in (*rows, other):
        assert table.get(name) == rows.get(name)
    table.close()
    tables.close()
    folder.close()


def test_a_row_larger_than_a_block_is_kept_whole(store: Store) -> None:
    store.tables.build(DIGEST, "v", [("a" * 100_000, b"b" * 200_000), ("c", b"")])
    table = store.tables.open(DIGEST, "v")
    assert table is not None
    assert table.get("a" * 100_000) == b"b" * 200_000
    assert table.get("c") == b""
    table.close()


def test_a_long_table_is_built_in_little_memory(store: Store) -> None:
    """One row for each package of Debian's main component, of the same length."""
    rows = ((f"pool/main/p/package-{number:05}_1.0_amd64.deb", b"%0250d" % number) for number in range(63_000))
    tracemalloc.start()
    try:
        store.tables.build(DIGEST, "v", rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
