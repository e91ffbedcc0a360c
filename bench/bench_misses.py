"""What is not in the store yet: fetched, hashed, stored and sent on, against nginx's proxy_cache and against no proxy at all.

Three questions: how fast does a file of 200 MiB pass, how soon does its first byte, and what do fifty clients see that ask for
one file at once. Runs take turns, and every figure is the median of the ratios of neighbouring runs.
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
class Way:
    """A way to the archive's bytes: where to ask, under which name, and the process that does the work (0: none of ours)."""

    name: str
    address: tuple[str, int]
    place: Callable[[str], str]
    pid: int = 0


@dataclass(frozen=True)
class Figures:
    """One run: seconds to the end and to the first byte, processor seconds of whoever stands between."""

    whole: float
    first_byte: float
    cpu: float


def ask(way: Way, path: str, clients: int = 1) -> list[Result]:
    """Let so many clients ask for one file at once. Raises SystemExit when one of them fails."""
    os.sync()  # nobody pays for what another has written
    job = Job(way.address[1], way.place(path), host=way.address[0])
    with Clients([job] * clients) as crowd:
        crowd.go()
        results = crowd.results(120)
    if problems := [result.problem for result in results if result.problem]:
        raise SystemExit(f"{way.name}: {problems[0]}")
    return results


def measure(way: Way, path: str) -> Figures:
    before = cpu_seconds(way.pid) if way.pid else 0.0
    (result,) = ask(way, path)
    return Figures(result.ended, result.first_byte, cpu_seconds(way.pid) - before if way.pid else 0.0)


def side_by_side(kind: Kind, ways: Sequence[Way]) -> list[list[Figures]]:
    """Take every file of a kind through every way, in turn; return one list a way."""
    rounds = [[measure(way, kind.path(number)) for way in ways] for number in range(kind.count)]
    return [list(column) for column in zip(*rounds, strict=True)]


def passing(ways: Sequence[Way]) -> None:
    """How fast files pass, and how soon their first byte comes."""
    ours, nginx, direct = side_by_side(LARGE, ways)
    short = side_by_side(SHORT, ways)
    print(
        f"A miss of 200 MiB, snapproxy / the other: median (least-greatest) of {_ROUNDS}; first bytes of {_SHORT_ROUNDS} of 20 KB"
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


def crowds(archive: Archive, ways: Sequence[Way]) -> bool:
    """What fifty clients of one file see while its upstream is slow. Return whether ours cost one upstream request."""
    path = SHARED.path(0)
    name = Path(path).name
    archive.slow_down(name, piece=MIB, every=0.02)
    print(f"{CROWD} clients, one file that arrives slowly")
    rows, asked = [("through", "upstream requests", "last client's first byte, of the whole time")], []
    for way in ways:
        before = archive.requests(name)
        results = ask(way, path, CROWD)
        asked.append(archive.requests(name) - before)
        share = max(result.first_byte for result in results) / max(result.ended for result in results)
        rows.append((way.name, str(asked[-1]), f"{share:.3f}"))
    table(*rows)
    return asked[0] == 1


def main() -> int:
    with room(3 * sum(kind.count * kind.size for kind in _KINDS)) as folder, Archive(folder, _KINDS) as archive:
        nginx = Nginx(folder / "nginx", upstream=f"{archive.mirror}/debian")
        with Snapproxy(configure(folder, archive)) as proxy, nginx:
            read_indexes(proxy)
            mirror = urlsplit(archive.mirror)
            ours = Way("snapproxy", ("127.0.0.1", proxy.port), url_path, proxy.pid)
            theirs = Way("nginx proxy_cache", ("127.0.0.1", nginx.port), lambda path: f"/proxied/{path}", nginx.pid)
            locked = Way("nginx proxy_cache_lock", theirs.address, lambda path: f"/locked/{path}", nginx.pid)
            direct = Way("no proxy", (mirror.hostname or "", mirror.port or 0), lambda path: f"/debian/{path}")
            passing((ours, theirs, direct))
            is_shared = crowds(archive, (ours, locked))
    if not is_shared:
        print("FAIL: more than one upstream request")
    return int(not is_shared)


if __name__ == "__main__":
    sys.exit(main())
