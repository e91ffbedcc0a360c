"""What recording costs: files from the store, each asked for once, into a new capture and into none.

Every answer into a capture is its first there, so that each costs its note; the second time is cheaper. Fails above the limit.
"""

from __future__ import annotations

import http.client
import statistics
import sys

from bench.archive import SUITE, Archive, Kind
from bench.harness import configure, cpu_seconds, fetch, pin, read_indexes, room, table, url_path
from tests.fakes.proxy import Snapproxy

SMALL = Kind("small", 900, 20_000)
LIMIT = 1.05
"""Processor time of an answer that is recorded, over that of one that is not."""

_ROUNDS = 12
_MIB = 1 << 20


def ask(port: int, prefix: str) -> None:
    """Ask for every small file once, over one connection. Raises SystemExit when anything but success came back."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(SMALL.count):
        client.request("GET", f"{prefix}{url_path(SMALL.path(number))}")
        answer = client.getresponse()
        if answer.status != http.client.OK:
            raise SystemExit(f"{answer.status} {answer.reason}")
        answer.read()
    client.close()


def cost(proxy: Snapproxy, prefix: str) -> float:
    """Return the processor seconds that the proxy spends on all of them."""
    fetch(proxy.url, prefix + url_path(f"dists/{SUITE}/InRelease"))  # a capture begins with its first answer
    before = cpu_seconds(proxy.pid)
    ask(proxy.port, prefix)
    return cpu_seconds(proxy.pid) - before


def main() -> int:
    with (
        room(100 * _MIB) as folder,
        Archive(folder, (SMALL,)) as archive,
        Snapproxy(configure(folder, archive)) as proxy,
    ):
        read_indexes(proxy)
        ask(proxy.port, "")
        pin(proxy.pid, 0)
        pairs = [(cost(proxy, f"/~build{turn}"), cost(proxy, "")) for turn in range(_ROUNDS)]
    ratios = [recorded / plain for recorded, plain in pairs]
    median = statistics.median(ratios)
    print(f"{SMALL.count} files of 20 KB from the store, recorded / not recorded: median (least-greatest) of {_ROUNDS}")
    table(("processor time", f"{median:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"), ("limit", f"{LIMIT:.2f}"))
    return 0 if median <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
