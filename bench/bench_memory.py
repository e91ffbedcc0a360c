"""Anonymous resident memory of all of snapproxy's processes while 64 clients stream 200 MB files: must stay under 150 MiB.

Half of the clients are served from the store, again and again; the others wait for 24 files that arrive meanwhile: half of these
promised by an index, half by none. While they stream, an index as long as Debian's is read. Ends with 1 when it was more.
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

HELD = Kind("held", 4, BIG)
PROMISED = Kind("promised", 12, BIG)
UNPROMISED = Kind("unpromised", 12, BIG, promised=False)
PROBE = Kind("probe", 1, 20_000, promised=False)
"""What is asked for to have every index read that was served: a package that none of them promises."""
_KINDS = (HELD, PROMISED, UNPROMISED, PROBE)

_RATE = 15_000_000
"""Bytes a second of a client that is served from the store: a fast line each, and the misses keep the processor."""

_SECONDS = 110


def jobs(port: int) -> list[Job]:
    """Return what the clients ask for: first the misses, a few of them by two clients, the rest hits."""
    arriving = [url_path(kind.path(number)) for kind in (PROMISED, UNPROMISED) for number in range(kind.count)]
    misses = [Job(port, path) for path in (*arriving, *arriving[::3])]
    held = [url_path(HELD.path(number)) for number in range(HELD.count)]
    hits = [Job(port, held[number % len(held)], rate=_RATE, times=0) for number in range(CLIENTS - len(misses))]
    return misses + hits


def main() -> int:
    needed = sum(kind.count * kind.size for kind in _KINDS) * 5 // 4
    with (
        room(needed) as folder,
        Archive(folder, _KINDS, long_index=True) as archive,
        Snapproxy(configure(folder, archive)) as proxy,
    ):
        read_indexes(proxy)
        for number in range(HELD.count):
            fetch(proxy.url, url_path(HELD.path(number)))
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
