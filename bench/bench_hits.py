"""Benchmark of cache hits, compared with nginx serving the same files from a folder: requests a second, processor time.

wrk requests the small files (20 KB); clients that discard the bodies request the large ones (200 MB). Each server has
one core, the clients another. Runs alternate, and every figure is the median of the ratios of neighbouring runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from bench.archive import Archive, Kind
from bench.harness import BIG, Nginx, configure, cpu_seconds, fetch, pin, ratio, read_indexes, room, table, url_path
from bench.load import Clients, Job
from tests.fakes.proxy import Snapproxy

SMALL = Kind("small", 1, 20_000)
LARGE = Kind("large", 1, BIG)
_KINDS = (SMALL, LARGE)
_ROUNDS = 5
_WRK_SECONDS = 1
_CONNECTIONS = (1, 8, 64)
_LARGE_TIMES = {1: 16, 8: 2, 64: 1}
_SERVER_CORE, _CLIENT_CORE = 0, 1


@dataclass(frozen=True)
class Server:
    """A server under load: its port, its process, and the path of a file on it."""

    port: int
    pid: int
    place: Callable[[str], str]


@dataclass(frozen=True)
class Figures:
    """One run: units (requests or bytes) for each second, and processor seconds for each unit."""

    speed: float
    cost: float


def small(server: Server, connections: int) -> Figures:
    """Request the small file repeatedly. Raises SystemExit when an answer is not a success."""
    core = sorted(os.sched_getaffinity(0))[_CLIENT_CORE % len(os.sched_getaffinity(0))]
    url = f"http://127.0.0.1:{server.port}{server.place(SMALL.path(0))}"
    before = cpu_seconds(server.pid)
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{_WRK_SECONDS}s", url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = cpu_seconds(server.pid) - before
    done, speed = re.search(r"(\d+) requests in", output), re.search(r"Requests/sec: +([\d.]+)", output)
    if done is None or speed is None or "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{url}:\n{output}")
    return Figures(float(speed[1]), spent / int(done[1]))


def large(server: Server, connections: int) -> Figures:
    """Stream the large file to this number of simultaneous clients."""
    jobs = [Job(server.port, server.place(LARGE.path(0)), times=_LARGE_TIMES[connections])] * connections
    with Clients(jobs) as clients:
        pin(clients.pid, _CLIENT_CORE)
        before = cpu_seconds(server.pid)
        clients.go()
        results = clients.results(120)
    spent = cpu_seconds(server.pid) - before
    if problems := [result.problem for result in results if result.problem]:
        raise SystemExit(problems[0])
    received = sum(result.received for result in results)
    return Figures(received / max(result.ended for result in results), spent / received)


def compare(measure: Callable[[Server, int], Figures], ours: Server, theirs: Server) -> list[tuple[str, str, str]]:
    """Return a table row for each number of connections: ratios of speed and processor time, ours / theirs."""
    rows = []
    for connections in _CONNECTIONS:
        pairs = [(measure(ours, connections), measure(theirs, connections)) for _ in range(_ROUNDS)]
        speed = ratio([(one.speed, other.speed) for one, other in pairs])
        cost = ratio([(one.cost, other.cost) for one, other in pairs])
        rows.append((str(connections), speed, cost))
    return rows


def main() -> int:
    with room(4 * BIG) as folder, Archive(folder, _KINDS) as archive:
        nginx = Nginx(folder / "nginx")
        with Snapproxy(configure(folder, archive)) as proxy, nginx:
            read_indexes(proxy)
            for kind in _KINDS:
                fetch(proxy.url, url_path(kind.path(0)))
                copy = nginx.files / kind.path(0)
                copy.parent.mkdir(parents=True, exist_ok=True)
                urllib.request.urlretrieve(f"{archive.mirror}/debian/{kind.path(0)}", copy)
            for pid in (proxy.pid, nginx.pid):
                pin(pid, _SERVER_CORE)
            ours = Server(proxy.port, proxy.pid, url_path)
            theirs = Server(nginx.port, nginx.pid, lambda path: f"/{path}")
            for title, measure in (("20 KB", small), ("200 MB", large)):
                print(f"{title} from the store, snapproxy / nginx: median (least-greatest) of {_ROUNDS}")
                table(("connections", "speed", "processor time"), *compare(measure, ours, theirs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
