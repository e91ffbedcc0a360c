"""Another process on a store, controlled by lines on its standard input. It answers each command with one line.

begin KEY            "draft SIZE" or "body"
describe N           "ok"
write N              "ok": N more bytes of the pattern
rehash | restart     "ok"
commit               "blob DIGEST SIZE"
abandon | keep       "ok"
read KEY             "SHA256 SIZE", "failed REASON", "orphaned" or "none", once the draft has ended
first KEY            "byte" when one byte can be read
epoch                the counter
slot NAME COUNT      "taken" or "none"
name SPACE NAME DIGEST PROOF    "ok"
put KEY COUNT        "stored DIGEST" or "unstored", after all bytes are written in small pieces
remove DIGEST        the bytes that were freed
count                the bytes of all blobs, counted
add NAME N           "ok": adds to a counter
gauge NAME N         "ok"
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Any

from snapproxy_storage import DraftFailed, DraftOrphaned, Following, Meta, Name, Store, open_store


def pattern(start: int, count: int) -> bytes:
    """Return bytes that depend only on their offset and differ everywhere."""
    return b"".join(i.to_bytes(8, "big") for i in range(start // 8, (start + count) // 8 + 1))[start % 8 :][:count]


async def read(store: Store, key: str, *, only_first: bool = False) -> str:
    body = store.drafts.follow(key)
    if body is None:
        return "none"
    seen, at = hashlib.sha256(), 0
    try:
        while at != body.size:
            end = await body.wait(at)
            if only_first:
                return "byte"
            if end == at:
                break
            async for piece in body.chunks(at, end):
                seen.update(piece)
            at = end
    except DraftFailed as error:
        return f"failed {error.reason}"
    except DraftOrphaned:
        return "orphaned"
    finally:
        body.close()
    return f"{seen.hexdigest()} {at}"


class Commands:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.draft: Any = None
        self.slots: list[Any] = []

    async def add(self, name: str, amount: str) -> str:
        self.store.counters.add(name, int(amount))
        return "ok"

    async def gauge(self, name: str, value: str) -> str:
        self.store.counters.set_gauge(name, int(value))
        return "ok"

    async def begin(self, key: str) -> str:
        begun = self.store.drafts.begin(key)
        if isinstance(begun, Following):
            begun.body.close()
            return "body"
        self.draft = begun.draft
        return f"draft {self.draft.size}"

    async def describe(self, length: str) -> str:
        await self.draft.describe(Meta(source="peer", length=int(length), etag='"1"'))
        return "ok"

    async def write(self, count: str) -> str:
        await self.draft.write(pattern(self.draft.size, int(count)))
        await asyncio.sleep(0.05)  # by now the bytes that may be released are on disk
        return "ok"

    async def rehash(self) -> str:
        await self.draft.rehash()
        return "ok"

    async def restart(self) -> str:
        await self.draft.restart()
        return "ok"

    async def commit(self) -> str:
        blob = await self.draft.commit()
        blob.close()
        return f"blob {blob.digest} {blob.size}"

    async def abandon(self) -> str:
        await self.draft.abandon("the peer gave up")
        return "ok"

    async def keep(self) -> str:
        await self.draft.abandon("the peer gave up", keep=True)
        return "ok"

    async def read(self, key: str) -> str:
        return await read(self.store, key)

    async def first(self, key: str) -> str:
        return await read(self.store, key, only_first=True)

    async def epoch(self) -> str:
        return str(self.store.catalog.epoch)

    async def slot(self, name: str, count: str) -> str:
        slot = self.store.slots.take(name, int(count))
        self.slots.append(slot)
        return "taken" if slot else "none"

    async def hold(self) -> str:
        self.slots.append(hold := self.store.blobs.hold())
        return "held" if hold else "none"

    async def release(self) -> str:
        self.slots.pop().release()
        return "ok"

    async def open(self, digest: str) -> str:
        self.slots.append(blob := await self.store.blobs.open(digest))
        return "open" if blob else "none"

    async def name(self, space: str, name: str, digest: str, proof: str) -> str:
        await self.store.catalog.put_name(space, name, Name(digest, 1, int(proof)))
        return "ok"

    async def put(self, key: str, count: str) -> str:
        begun = self.store.drafts.begin(key)
        assert not isinstance(begun, Following)
        seed = hashlib.sha256(key.encode()).digest()
        if len(key) % 2:
            await begun.draft.describe(Meta(length=int(count)))
        for at in range(0, int(count), 65_536):
            await begun.draft.write((seed * 2048)[: min(65_536, int(count) - at)])
        blob = await begun.draft.commit()
        blob.close()
        return "unstored" if begun.draft.full else f"stored {blob.digest}"

    async def remove(self, digest: str) -> str:
        return str(await self.store.blobs.remove(digest))

    async def count(self) -> str:
        return str(await self.store.space.recount())


async def main() -> None:
    state_dir, cache_dir = map(Path, sys.argv[1:3])
    quota = int(sys.argv[3]) if len(sys.argv) > 3 else None
    async with open_store(state_dir, cache_dir, quota=quota) as store:
        commands = Commands(store)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            verb, *arguments = line.split()
            print(await getattr(commands, verb)(*arguments), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
