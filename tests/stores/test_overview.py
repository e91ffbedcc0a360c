"""Bounded looks at the store: in order, within their limits, and never on the event loop."""

from __future__ import annotations

import pytest

from snapproxy_storage import Name, SpaceTotals, StorageFailure, Store, Value
from snapproxy_storage import overview as module

NONE = Name("", 0, 0)
KEY = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def _never_blocks(store: Store, watchdog: object) -> None:
    """Watch the event loop, from when the store is open."""


async def test_spaces_are_listed_newest_first_whatever_they_contain(store: Store) -> None:
    for space in ("roots:debian/2024", "roots:debian/2025", "roots:debian-security/2025", "roots:debian/2023", "x"):
        await store.catalog.put_names(space, {str(number): NONE for number in range(3)})
    look = store.overview
    assert await look.spaces("roots:debian/", most=9) == [
        "roots:debian/2025",
        "roots:debian/2024",
        "roots:debian/2023",
    ]
    assert await look.spaces("roots:debian/", most=1) == ["roots:debian/2025"]
    assert await look.spaces("roots:debian/", most=9, below="roots:debian/2025") == [
        "roots:debian/2024",
        "roots:debian/2023",
    ]
    assert await look.spaces("none/", most=9) == []


async def test_names_are_paged(store: Store) -> None:
    await store.catalog.put_names("s", dict.fromkeys(("a", "b/1", "b/2", "c"), NONE))
    assert [name for name, _ in await store.overview.names("s", most=2)] == ["a", "b/1"]
    assert [name for name, _ in await store.overview.names("s", most=9, after="b/1")] == ["b/2", "c"]
    assert [name for name, _ in await store.overview.names("s", most=9, prefix="b/")] == ["b/1", "b/2"]
    assert await store.overview.names("none", most=9) == []


async def test_totals_count_the_bytes_of_a_digest_once(store: Store) -> None:
    one, other = Name("a" * 64, 10, 1), Name("b" * 64, 5, 1)
    await store.catalog.put_names("s", {"x": one, "y": one, "z": other, "absent": NONE})
    assert await store.overview.totals("s") == SpaceTotals(4, 1, 15)
    assert await store.overview.totals("none") == SpaceTotals(0, 0, 0)


async def test_facts_are_listed_by_prefix_without_the_expired_ones(store: Store) -> None:
    await store.catalog.put_fact("t/a", {"n": 1})
    await store.catalog.put_fact("t/b", 2, expires=100)
    await store.catalog.put_fact("u", 3)
    assert await store.overview.facts("t/", 99, most=9) == [("t/a", {"n": 1}), ("t/b", 2)]
    assert await store.overview.facts("t/", 100, most=9) == [("t/a", {"n": 1})]
    assert await store.overview.facts("t/", 0, most=1) == [("t/a", {"n": 1})]


async def test_spans_that_overlap_a_period_are_listed(store: Store) -> None:
    for at, value in ((10, "a"), (20, "a"), (30, "b"), (40, "b")):
        await store.catalog.observe("k/1", at, value)
    await store.catalog.observe("k/2", 25, "c")
    assert await store.overview.spans("k/", 20, 29, most=9) == [
        ("k/1", Value(10, 20, "a")),
        ("k/2", Value(25, 25, "c")),
    ]
    assert await store.overview.spans("k/", 0, 99, most=2) == [("k/1", Value(10, 20, "a")), ("k/1", Value(30, 40, "b"))]
    assert await store.overview.spans("k/", 41, 99, most=2) == []


async def test_the_lines_of_a_journal_are_read_beside_its_writers(store: Store) -> None:
    assert await store.overview.journal(KEY) == []
    journal = store.journals.open(KEY)
    journal.add([b"one", b"two"])
    assert await store.overview.journal(KEY) == [b"one", b"two"]
    journal.close()
    with pytest.raises(ValueError, match="not the name of a journal"):
        await store.overview.journal("../catalog.sqlite3")


async def test_a_look_that_takes_too_long_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.catalog.put_names("s", {str(number): NONE for number in range(2000)})
    monkeypatch.setattr(module, "MOST_SECONDS", -1.0)
    monkeypatch.setattr(module, "_STEPS", 10)
    with pytest.raises(StorageFailure, match="cannot look through the catalog"):
        await store.overview.totals("s")
    monkeypatch.undo()
    assert (await store.overview.totals("s")).names == 2000
