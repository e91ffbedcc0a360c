"""Benchmark of the anonymous memory of all snapproxy processes while 64 clients stream 200 MB files. Limit: 150 MiB.

Half of the clients are served repeatedly from the store. The others request 24 files that are downloaded meanwhile: an
index lists half of them. During the streaming, an index as long as Debian's is read. The exit code is 1 above the
limit.
"""

from __future__ import annotations

import sys
import time

from bench.archive import LONG_SUITE, Archive, Kind
from bench.harness import BIG, MIB, Memory, configure, fetch, read_indexes, room, table, url_path
from bench.load import Clients, Job
from tests.fakes.proxy import Snapproxy

LIMIT = 150 * MIB
CLIENTS = 64

STORED = Kind("stored", 4, BIG)
LISTED = Kind("listed", 12, BIG)
UNLISTED = Kind("unlisted", 12, BIG, listed=False)
PROBE = Kind("probe", 1, 20_000, listed=False)
"""A package that no index lists. A request for it makes snapproxy read every index that it has served."""
_KINDS = (STORED, LISTED, UNLISTED, PROBE)

_RATE = 15_000_000
"""Bytes a second of a client served from the store: a fast connection that leaves processor time for the misses."""

_SECONDS = 110


def jobs(port: int) -> list[Job]:
    """Return the clients' jobs: the misses first, some of them for two clients, then the hits."""
    arriving = [url_path(kind.path(number)) for kind in (LISTED, UNLISTED) for number in range(kind.count)]
    misses = [Job(port, path) for path in (*arriving, *arriving[::3])]
    stored = [url_path(STORED.path(number)) for number in range(STORED.count)]
    hits = [Job(port, stored[number % len(stored)], rate=_RATE, times=0) for number in range(CLIENTS - len(misses))]
    return misses + hits


def main() -> int:
    needed = sum(kind.count * kind.size for kind in _KINDS) * 5 // 4
    with (
        room(needed) as folder,
        Archive(folder, _KINDS, long_index=True) as archive,
        Snapproxy(configure(folder, archive)) as proxy,
    ):
        read_indexes(proxy)
        for number in range(STORED.count):
            fetch(proxy.url, url_path(STORED.path(number)))
        memory = Memory(proxy.pid)
        with Clients(jobs(proxy.port)) as clients:
            began = time.monotonic()
            memory.start()
            clients.go()
            read_indexes(proxy, LONG_SUITE)
            fetch(proxy.url, url_path(PROBE.path(0)))
            results = clients.results(_SECONDS)
            seconds = time.monotonic() - began
        memory.stop()
    problems = [result.problem for result in results if result.problem]
    if problems:
        print(f"{len(problems)} of {CLIENTS} clients failed: {problems[0]}")
        return 1
    received = sum(result.received for result in results)
    print(f"{CLIENTS} clients, {received / BIG:.0f} times 200 MB in {seconds:.0f} s, {memory.samples} samples")
    table(
        ("process", "peak MiB", "of the limit"),
        *(
            (memory.names[pid], f"{peak / MIB:.1f}", f"{peak / LIMIT:.2f}")
            for pid, peak in memory.peaks.items()
            if peak
        ),
        ("all at one moment", f"{memory.peak / MIB:.1f}", f"{memory.peak / LIMIT:.2f}"),
    )
    print("pass" if memory.peak < LIMIT else f"FAIL: more than {LIMIT // MIB} MiB")
    return int(memory.peak >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
