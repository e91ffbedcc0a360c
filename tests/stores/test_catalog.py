"""The catalog file: schema versions, several processes, and spans for every order of observations."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapproxy_storage import Name, StorageFailure, Store, catalog_schema, open_store
from snapproxy_storage.catalog_schema import VERSION, migrate
from snapproxy_storage.observation_spans import insert_observation

untimed = settings(deadline=None)  # a busy machine may be slow


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = memory()
    yield connection
    connection.close()


def memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, Path("memory"))
    return connection


def spans(connection: sqlite3.Connection) -> list[tuple[int, int, str]]:
    return connection.execute(
        "SELECT first, last, value FROM span WHERE key = 'k' AND value IS NOT NULL ORDER BY first"
    ).fetchall()


def test_another_value_inside_a_span_leaves_only_what_was_surely_seen(database: sqlite3.Connection) -> None:
    for at, value in ((10, "a"), (20, "a"), (30, "a"), (15, "b")):
        insert_observation(database, "k", at, value)
    assert spans(database) == [(10, 10, "a"), (15, 15, "b"), (30, 30, "a")]
    insert_observation(database, "k", 15, "a")
    assert spans(database) == [(10, 10, "a"), (15, 15, "a"), (30, 30, "a")], (
        "the later word stands, and joins nothing forgotten"
    )


def test_no_span_grows_across_what_was_forgotten(database: sqlite3.Connection) -> None:
    """At 5 the value was b, which the span [0, 10] does not record."""
    for at, value in ((0, "b"), (5, "b"), (10, "b"), (7, "a"), (3, "a")):
        insert_observation(database, "k", at, value)
    assert spans(database) == [(0, 0, "b"), (3, 3, "a"), (7, 7, "a"), (10, 10, "b")]


def test_a_second_of_two_values_stands_alone(database: sqlite3.Connection) -> None:
    """Both values were observed at 15: the one recorded later is valid, and no span extends across it."""
    for at, value in ((10, "a"), (15, "b"), (20, "a"), (15, "a"), (16, "a")):
        insert_observation(database, "k", at, value)
    assert spans(database) == [(10, 10, "a"), (15, 15, "a"), (16, 20, "a")]


def test_what_is_told_for_a_forgotten_second_stands_alone(database: sqlite3.Connection) -> None:
    """At 1 the value was b, which the span [0, 2] does not record."""
    for at, value in ((0, "b"), (1, "b"), (2, "b"), (0, "a"), (2, "a"), (1, "a")):
        insert_observation(database, "k", at, value)
    assert spans(database) == [(0, 0, "a"), (1, 1, "a"), (2, 2, "a")]


@settings(untimed, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), max_size=25))
def test_no_span_goes_across_a_moment_of_another_value(seen: list[tuple[int, str]]) -> None:
    """In any order, and with any number of observations at one second."""
    connection = memory()
    told: dict[int, set[str]] = {}
    for at, value in seen:
        insert_observation(connection, "k", at, value)
        told.setdefault(at, set()).add(value)
    found, latest = spans(connection), dict(seen)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found)), "spans never overlap"
    for first, last, value in found:
        assert latest[first] == latest[last] == value, "a span begins and ends at something seen"
        values = set().union(*(told[at] for at in told if first <= at <= last))
        assert first == last or values == {value}, "nothing else was ever told in between, ends included"
    connection.close()


@untimed
@given(st.lists(st.sampled_from("ab"), max_size=20))
def test_in_order_spans_are_the_runs_of_equal_values(values: list[str]) -> None:
    connection = memory()
    for at, value in enumerate(values):
        insert_observation(connection, "k", at, value)
    runs: list[tuple[int, int, str]] = []
    for at, value in enumerate(values):
        if runs and runs[-1][2] == value:
            runs[-1] = (runs[-1][0], at, value)
        else:
            runs.append((at, at, value))
    assert spans(connection) == runs
    connection.close()


async def test_a_newer_catalog_is_refused_untouched(store: Store, state_dir: Path, cache_dir: Path) -> None:
    await store.close()
    path = state_dir / "catalog.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(
        StorageFailure, match=f"version is {VERSION + 1}, this program supports up to {VERSION}; upgrade"
    ):
        open_store(state_dir, cache_dir)
    assert path.read_bytes() == before


def test_a_migration_is_made_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, database: sqlite3.Connection) -> None:
    steps = (*catalog_schema._MIGRATIONS, ("CREATE TABLE extra (x)", "CREATE TABLE name (x)"))
    monkeypatch.setattr("snapproxy_storage.catalog_schema._MIGRATIONS", steps)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(database, Path("memory"))
    assert database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").fetchone() == (0,)
    assert database.execute("PRAGMA user_version").fetchone() == (len(steps) - 1,)
    monkeypatch.setattr("snapproxy_storage.catalog_schema._MIGRATIONS", (*steps[:-1], ("CREATE TABLE extra (x)",)))
    migrate(database, Path("memory"))
    assert database.execute("PRAGMA user_version").fetchone() == (len(steps),)


def test_spans_of_an_older_catalog_are_kept_and_go_on() -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (
        *catalog_schema._MIGRATIONS[0],
        "INSERT INTO span VALUES ('k', 10, 20, 'a')",
        "PRAGMA user_version = 1",
    ):
        database.execute(statement)
    migrate(database, Path("memory"))
    insert_observation(database, "k", 30, "a")
    assert spans(database) == [(10, 30, "a")]
    database.close()


async def test_a_name_that_gives_way_is_logged(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await store.catalog.put_name("s", "n", Name("a" * 64, 1, 0))
    with caplog.at_level(logging.WARNING, "snapproxy_storage.catalog"):
        await store.catalog.put_name("s", "n", Name("b" * 64, 1, 0))
        assert caplog.records == []
        await store.catalog.put_name("s", "n", Name("b" * 64, 1, 3))
    (record,) = caplog.records
    assert record.getMessage() == f"s/n: {'a' * 64} (proof 0) is replaced by {'b' * 64} (proof 3)"


async def test_what_waits_together_is_one_transaction(store: Store, state_dir: Path) -> None:
    wal = state_dir / "catalog.sqlite3-wal"
    before = wal.stat().st_size
    await asyncio.gather(*(store.catalog.put_fact(f"f{n}", n) for n in range(300)))
    assert (wal.stat().st_size - before) / 4096 < 60, "far fewer pages than writes"


async def test_a_write_is_done_even_if_nobody_waits_for_it(store: Store) -> None:
    writing = asyncio.create_task(store.catalog.put_fact("f", 1))
    await asyncio.sleep(0)
    writing.cancel()
    await store.catalog.put_fact("g", 1)
    assert store.catalog.fact("f", 0) == 1


async def test_two_stores_open_a_new_catalog_at_once(state_dir: Path, cache_dir: Path, peer: Any) -> None:
    others = await asyncio.gather(*(peer() for _ in range(4)))
    for number, other in enumerate(others):
        await other.do(f"name s {number} {'a' * 64} 1")
    assert [await other.hear() for other in others] == ["ok"] * 4
    async with open_store(state_dir, cache_dir) as store:
        assert len(store.catalog.names("s")) == 4


async def test_a_writer_waits_for_another_process(store: Store, state_dir: Path) -> None:
    other = sqlite3.connect(state_dir / "catalog.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("REPLACE INTO fact VALUES ('theirs', '1', NULL)")
    writing = asyncio.create_task(store.catalog.put_fact("ours", 2))
    await asyncio.sleep(0.1)
    assert not writing.done()
    assert store.catalog.fact("theirs", 0) is None, "a read waits for nobody and sees what is committed"
    other.execute("COMMIT")
    await writing
    assert (store.catalog.fact("theirs", 0), store.catalog.fact("ours", 0)) == (1, 2)
    other.close()
