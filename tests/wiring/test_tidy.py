"""What clients can make grow besides stored files, and its bounds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.archives import BUILTIN
from snapproxy.base.names import Names
from snapproxy.core.model import Proof, Resolved, Role
from snapproxy.core.plan_model import StoredFile
from snapproxy.core.reclaim import most_tables
from snapproxy.live.state import UNUSED_SECONDS, LiveCopy, LiveState, LiveStates
from snapproxy.wiring.tidy import Tidy
from snapproxy_storage import Store, Writing, open_store
from tests.fakes.virtual_clock import VirtualClock

FILE = StoredFile("pool/x.deb", "a" * 64, 5, Proof.GPG)
(DEBIAN,) = (each for each in BUILTIN if each.name == "debian")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state", tmp_path / "cache") as opened:
        yield opened


async def put(store: Store, data: bytes) -> str:
    begun = store.drafts.begin(str(data))
    assert isinstance(begun, Writing)
    await begun.draft.write(data)
    blob = await begun.draft.commit()
    blob.close()
    return blob.digest


async def test_any_number_of_times_is_a_bounded_number_of_names(store: Store) -> None:
    clock = VirtualClock()
    names = Names(store.catalog, clock)
    for second in range(40):
        resolved = Resolved(f"{second:04}", second)
        await names.put_name(f"ubuntu/{second:04}", "dists/x/InRelease", FILE, Role.ROOT, resolved, permanent=False)
        await clock.advance(1)
    await names.put_name("own/0001", "dists/x/InRelease", FILE, Role.ROOT, Resolved("0001", 1))
    await Tidy(store=store, archives=["ubuntu"], most_names=10, kept_spaces=lambda: {"ubuntu/0003"}).bound(clock.now())
    named = [second for second in range(40) if names.stored(f"ubuntu/{second:04}", "dists/x/InRelease")]
    assert named == [3, *range(36, 40)], "the newest ones, of which each is in two spaces, and the kept one"
    assert not names.roots("ubuntu/0001")
    assert names.roots("own/0001"), "nothing but our own observation knows of it"


async def test_states_of_live_files_are_forgotten_a_month_after_their_last_check(store: Store) -> None:
    states = LiveStates(store.catalog, store.blobs)
    state = LiveState(LiveCopy(await put(store, b"bytes"), 5), 0, 1000)
    await states.put(DEBIAN, "README", state, is_root=False)
    await states.put(DEBIAN, "dists/stable/InRelease", state, is_root=True)
    tidy = Tidy(store=store, archives=["debian"])
    await tidy.bound(1000 + UNUSED_SECONDS - 1)
    assert states.of(DEBIAN, "README") == state
    await tidy.bound(1000 + UNUSED_SECONDS)
    assert states.of(DEBIAN, "README") is None
    assert states.of(DEBIAN, "dists/stable/InRelease") == state
    for number in range(30):
        await states.put(DEBIAN, f"file {number}", replace(state, checked=2000 + number), is_root=False)
    await replace(tidy, most_facts=4).bound(2000)
    assert [number for number in range(30) if states.of(DEBIAN, f"file {number}")] == [26, 27, 28, 29]


async def test_what_belongs_to_removed_files_is_forgotten(store: Store) -> None:
    names = Names(store.catalog, VirtualClock())
    digests = [await put(store, bytes([number])) for number in range(3)]
    for digest in digests:
        await names.put_date(digest, 5)
        await names.put_alias("sha512", digest * 2, digest, 1)
        await store.catalog.put_name("weak:debian", f"md5:{digest[:32]}", store.catalog.name("sha512", digest * 2))  # type: ignore[arg-type]
        store.served.note(digest, 5)
    await store.served.flush()
    os.unlink(store.blobs.folder.path / digests[0])  # type: ignore[attr-defined]  # noqa: PTH108
    await store.blobs.remove(digests[1])
    await Tidy(store=store, archives=["debian"]).forget_removed_files()
    assert [names.date(digest) for digest in digests] == [None, None, 5]
    for space in ("sha512", "weak:debian"):
        assert [name.digest for _, name in store.catalog.names(space)] == digests[2:]
    assert store.catalog.served(digests) == {digests[2]: 5}  # type: ignore[attr-defined]
    assert store.catalog.blob_identity(digests[0]) is None  # type: ignore[attr-defined]


async def test_index_tables_are_bounded_and_the_ones_in_use_stay(store: Store, tmp_path: Path) -> None:
    for number in range(6):
        store.tables.build(f"{number}" * 64, "v1" if number % 2 else "old", [("x", b"1" * 5000)])
        os.utime(tmp_path / "cache/tables" / ("v1" if number % 2 else "old") / (f"{number}" * 64), (number, number))
    table = store.tables.open("1" * 64, "v1")
    assert table is not None
    table.close()
    tidy = Tidy(store=store, archives=())
    for _ in range(2):
        tidy.trim_tables(3 * 8192, now=10)
        assert sorted(each.digest[0] for each in store.tables.stored()) == ["1", "4", "5"]


@pytest.mark.parametrize(
    ("quota", "tables"), [(None, 8 << 30), (1 << 30, 256 << 20), (10**13, 8 << 30), (10**10, 10**9)]
)
def test_index_tables_may_take_a_tenth_of_the_quota(quota: int | None, tables: int) -> None:
    assert most_tables(quota) == tables
