"""The bytes that wait for the writer thread are limited: memory must not grow with the number of downloads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from snapproxy_storage import Draft, Store
from tests.stores.contracts import begin

PIECE = bytes(64 << 10)
MIB = 1 << 20


@pytest.mark.parametrize(("drafts", "most"), [(1, 2 * MIB), (64, 32 * MIB)])
async def test_bytes_taken_while_the_disk_stands_still(store: Store, drafts: int, most: int) -> None:
    gate = threading.Event()
    begun = [begin(store, f"draft {number}") for number in range(drafts)]
    begun[0].tap(lambda _: gate.wait() and None)
    writers = [asyncio.create_task(_fill(draft)) for draft in begun]
    try:
        taken = [-1, 0]
        while taken[-1] != taken[-2]:
            await asyncio.sleep(0.05)
            taken.append(sum(draft.size for draft in begun))
        assert drafts * len(PIECE) <= taken[-1] <= most
    finally:
        gate.set()
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await asyncio.gather(*(draft.abandon("done") for draft in begun))


async def _fill(draft: Draft) -> None:
    while True:
        await draft.write(PIECE)
