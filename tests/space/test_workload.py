"""A workload of five quotas against one, with random popularity, compared with a simulation of the same order."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from snapproxy.wiring.space_keeper import SpaceKeeper
from snapproxy_storage import open_store

QUOTA = 4 << 20
FILES = 420
REQUESTS = 1600
MINUTE = 60
HOUR = 3600


def on_disk(size: int) -> int:
    return -(-size // 4096) * 4096


class Lru:
    """A cache that removes the files served least recently, to the hour, and a twentieth more than it needs."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.files: dict[int, tuple[int, int]] = {}
        """The hour of the last serving and the size, by file."""

    def request(self, file: int, size: int, at: int) -> bool:
        """Serve a file, and return whether it was a hit."""
        is_hit = file in self.files
        self.files.pop(file, None)
        used = sum(each for _, each in self.files.values())
        if not is_hit and used + size > self.capacity:
            for oldest in sorted(self.files, key=lambda each: (self.files[each], each)):
                if used + size <= self.capacity - QUOTA // 20:
                    break
                used -= self.files.pop(oldest)[1]
        self.files[file] = at // HOUR, size
        return is_hit


async def test_the_hit_rate_is_that_of_the_least_recently_used_and_the_quota_is_kept(
    tmp_path: Path, make_collector: Any, put: Any
) -> None:
    chance = random.Random(12)
    sizes = [chance.randrange(20_000, 80_000) for _ in range(FILES)]
    assert sum(map(on_disk, sizes)) > 5 * QUOTA
    weights = [1 / (1 + rank) ** 0.9 for rank in range(FILES)]
    simulated, hits, simulated_hits = Lru(QUOTA - QUOTA // 16), 0, 0
    digests: dict[int, str] = {}
    async with open_store(tmp_path / "state", tmp_path / "cache", quota=QUOTA) as store:
        keeper = SpaceKeeper(store, make_collector(store))
        store.space.on_shortage(keeper.make_room)
        at = int(time.time())
        for file in chance.choices(range(FILES), weights, k=REQUESTS):
            at += MINUTE
            simulated_hits += simulated.request(file, on_disk(sizes[file]), at)
            if file in digests and store.blobs.size(digests[file]) is not None:
                hits += 1
            else:
                data = b"%d " % file * (sizes[file] // 3)
                digests[file], is_stored = await put(store, str(file), data[: sizes[file]])
                assert is_stored
            store.served.note(digests[file], at)
            space = store.space
            assert space.stored + space.kept + space.reserved <= QUOTA
    assert abs(hits - simulated_hits) / REQUESTS < 0.05, (hits, simulated_hits)
    assert hits > REQUESTS // 4
