"""Benchmark of cache misses: fetch, hash, store and send a file, compared with nginx's proxy_cache and with no proxy.

It measures the transfer speed of a file of 200 MiB, the time to its first byte, and the requests of fifty simultaneous
clients for one file. Runs alternate, and every figure is the median of the ratios of neighbouring runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.archive import Archive, Kind
from bench.harness import MIB, Nginx, configure, cpu_seconds, ratio, read_indexes, room, table, url_path
from bench.load import Clients, Job, Result
from tests.fakes.proxy import Snapproxy

_ROUNDS = 7
_SHORT_ROUNDS = 30
CROWD = 50

LARGE = Kind("large", _ROUNDS, 200 * MIB)
SHORT = Kind("short", _SHORT_ROUNDS, 20_000)
SHARED = Kind("shared", 1, 100 * MIB)
_KINDS = (LARGE, SHORT, SHARED)


@dataclass(frozen=True)
class Route:
    """A route to the archive's files: the server's address, a file's path there, the server's process (0: no proxy)."""

    name: str
    address: tuple[str, int]
    place: Callable[[str], str]
    pid: int = 0


@dataclass(frozen=True)
class Figures:
    """One run: seconds to the end and to the first byte, processor seconds of the proxy."""

    whole: float
    first_byte: float
    cpu: float


def ask(route: Route, path: str, clients: int = 1) -> list[Result]:
    """Request one file with this number of simultaneous clients. Raises SystemExit when one of them fails."""
    os.sync()  # so that a run does not pay for the writes of the previous one
    job = Job(route.address[1], route.place(path), host=route.address[0])
    with Clients([job] * clients) as crowd:
        crowd.go()
        results = crowd.results(120)
    if problems := [result.problem for result in results if result.problem]:
        raise SystemExit(f"{route.name}: {problems[0]}")
    return results


def measure(route: Route, path: str) -> Figures:
    before = cpu_seconds(route.pid) if route.pid else 0.0
    (result,) = ask(route, path)
    return Figures(result.ended, result.first_byte, cpu_seconds(route.pid) - before if route.pid else 0.0)


def side_by_side(kind: Kind, routes: Sequence[Route]) -> list[list[Figures]]:
    """Fetch every file of a kind by every route, in turn. Return one list for each route."""
    rounds = [[measure(route, kind.path(number)) for route in routes] for number in range(kind.count)]
    return [list(column) for column in zip(*rounds, strict=True)]


def compare_transfers(routes: Sequence[Route]) -> None:
    """Print the transfer speed of files and the time to their first byte."""
    ours, nginx, direct = side_by_side(LARGE, routes)
    short = side_by_side(SHORT, routes)
    print(
        f"A miss of 200 MiB, snapproxy / the other: median (least-greatest) of {_ROUNDS}; "
        f"first bytes of {_SHORT_ROUNDS} of 20 KB"
    )
    rows = [("against", "speed", "processor time", "first byte, 200 MiB", "first byte, 20 KB")]
    for name, theirs, their_short in (("nginx proxy_cache", nginx, short[1]), ("no proxy", direct, short[2])):
        rows.append(
            (
                name,
                ratio([(other.whole, one.whole) for one, other in zip(ours, theirs, strict=True)]),
                ratio([(one.cpu, other.cpu) for one, other in zip(ours, theirs, strict=True)]),
                ratio([(one.first_byte, other.first_byte) for one, other in zip(ours, theirs, strict=True)]),
                ratio([(one.first_byte, other.first_byte) for one, other in zip(short[0], their_short, strict=True)]),
            )
        )
    table(*rows)


def compare_crowds(archive: Archive, routes: Sequence[Route]) -> bool:
    """Request one file with fifty clients from a slow upstream. Return whether snapproxy made one upstream request."""
    path = SHARED.path(0)
    name = Path(path).name
    archive.slow_down(name, piece=MIB, every=0.02)
    print(f"{CROWD} clients, one file that arrives slowly")
    rows, asked = [("through", "upstream requests", "last client's first byte, of the whole time")], []
    for route in routes:
        before = archive.requests(name)
        results = ask(route, path, CROWD)
        asked.append(archive.requests(name) - before)
        share = max(result.first_byte for result in results) / max(result.ended for result in results)
        rows.append((route.name, str(asked[-1]), f"{share:.3f}"))
    table(*rows)
    return asked[0] == 1


def main() -> int:
    with room(3 * sum(kind.count * kind.size for kind in _KINDS)) as folder, Archive(folder, _KINDS) as archive:
        nginx = Nginx(folder / "nginx", upstream=f"{archive.mirror}/debian")
        with Snapproxy(configure(folder, archive)) as proxy, nginx:
            read_indexes(proxy)
            mirror = urlsplit(archive.mirror)
            ours = Route("snapproxy", ("127.0.0.1", proxy.port), url_path, proxy.pid)
            theirs = Route("nginx proxy_cache", ("127.0.0.1", nginx.port), lambda path: f"/proxied/{path}", nginx.pid)
            locked = Route("nginx proxy_cache_lock", theirs.address, lambda path: f"/locked/{path}", nginx.pid)
            direct = Route("no proxy", (mirror.hostname or "", mirror.port or 0), lambda path: f"/debian/{path}")
            compare_transfers((ours, theirs, direct))
            is_shared = compare_crowds(archive, (ours, locked))
    if not is_shared:
        print("FAIL: more than one upstream request")
    return int(not is_shared)


if __name__ == "__main__":
    sys.exit(main())
