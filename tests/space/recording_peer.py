"""Another process that records stored files into a capture while files are removed, as the recorder does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from snapproxy.base.references import no_eviction
from snapproxy.capture.captures import Captures
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import RecordEntry
from snapproxy_storage import open_store


async def main() -> None:
    state_dir, cache_dir = map(Path, sys.argv[1:])
    async with open_store(state_dir, cache_dir) as store:
        captures = Captures(store, families={}, now=lambda: 0)
        print("ready", flush=True)
        for turn, line in enumerate(iter(sys.stdin.readline, "")):
            digest = line.strip()
            writer = await captures.open(f"capture-{turn % 7}")
            async with no_eviction(store.blobs):
                is_stored = store.blobs.size(digest) is not None
                if is_stored:
                    writer.note(RecordEntry("a", "t", "s", digest, Role.PACKAGE, Proof.GPG, 1, digest))
            print(digest if is_stored else "-", flush=True)
        captures.close_writers()


if __name__ == "__main__":
    asyncio.run(main())
