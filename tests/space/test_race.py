"""Two processes: one removes files, the other records files at the same time. Nothing that is recorded is lost."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from snapproxy.space.order import Shortage
from snapproxy_storage import open_store

PEER = Path(__file__).with_name("recording_peer.py")
ROOT = PEER.parents[2]
PATH = os.pathsep.join(map(str, (ROOT, ROOT / "storage")))
ROUNDS, FILES = 6, 40


async def test_no_file_that_another_process_records_is_removed(tmp_path: Path, make_collector: Any, put: Any) -> None:
    folders = tmp_path / "state", tmp_path / "cache"
    chance, recorded = random.Random(12), set()
    async with open_store(*folders) as store:
        collector = make_collector(store)
        peer = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PEER),
            *map(str, folders),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": PATH},
        )
        assert peer.stdin is not None
        assert peer.stdout is not None
        assert await peer.stdout.readline() == b"ready\n"
        for turn in range(ROUNDS):
            digests = [(await put(store, f"{turn} {n}", b"%d %d" % (turn, n)))[0] for n in range(FILES)]
            cleaning = asyncio.create_task(collector.run(Shortage(blobs=1 << 40)))
            for digest in chance.sample(digests, FILES):
                peer.stdin.write(f"{digest}\n".encode())
                answer = (await peer.stdout.readline()).decode().strip()
                recorded |= {answer} - {"-"}
            await cleaning
            assert {digest for digest in recorded if store.blobs.size(digest) is None} == set()
        peer.stdin.close()
        assert await peer.wait() == 0
        await collector.run(Shortage(blobs=1 << 40))
        assert set(store.blobs.digests()) == recorded
    assert recorded
