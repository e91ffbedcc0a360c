"""One of many processes that begin, follow, abandon, resume and sweep the same few drafts at random, for some seconds.

Compares every byte that is read with the expected one. Prints "fine". Raises at the first wrong byte, and at a clean
end of a partial file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from pathlib import Path

from snapproxy_storage import Body, Draft, DraftFailed, DraftOrphaned, Meta, Store, Writing, open_store

DATA = {key: hashlib.shake_128(key.encode()).digest(random.Random(key).randrange(1, 900_000)) for key in "abcd"}


async def write(draft: Draft, whim: random.Random) -> None:
    data = DATA[draft.key]
    is_known = whim.random() < 0.6 or draft.meta.length is not None
    if draft.size and whim.random() < 0.3:
        await draft.restart()
    await draft.describe(Meta(length=len(data) if is_known else None))
    if draft.size:
        await draft.rehash()
    while draft.size < len(data):
        await draft.write(data[draft.size : draft.size + whim.choice([1, 1000, 16_384, 60_000, 200_000])])
        if whim.random() < 0.3:
            await asyncio.sleep(whim.random() * 0.02)
        if whim.random() < 0.01:
            await draft.abandon("broke", keep=whim.random() < 0.7)
            return
    blob = await draft.commit()
    assert blob.digest == hashlib.sha256(data).hexdigest()
    blob.close()


async def read(body: Body, data: bytes) -> None:
    at = 0
    try:
        while at != body.size:
            end = await asyncio.wait_for(body.wait(at), 20)
            if end == at:
                break
            fd = body.fileno()
            assert fd is not None
            piece = os.pread(fd, end - at, at)
            assert piece == data[at : at + len(piece)] != b""
            at += len(piece)
        assert at == len(data), "a clean end before the end"
    except (DraftFailed, DraftOrphaned):
        pass
    finally:
        body.close()


async def act(store: Store, whim: random.Random, until: float) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        key = whim.choice("abcd")
        begun = store.drafts.begin(key)
        await (write(begun.draft, whim) if isinstance(begun, Writing) else read(begun.body, DATA[key]))
        if whim.random() < 0.02:
            await store.drafts.sweep(older_than=0)
        await asyncio.sleep(whim.random() * 0.01)


async def main(state: str, cache: str, seed: str, seconds: str) -> None:
    async with open_store(Path(state), Path(cache)) as store:
        until = asyncio.get_running_loop().time() + float(seconds)
        await asyncio.gather(*(act(store, random.Random(f"{seed} {number}"), until) for number in range(4)))
    print("fine")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
