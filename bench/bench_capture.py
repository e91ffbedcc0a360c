"""What recording costs: files from the store, each asked for once, into a new capture and into none.

Every answer into a capture is its first there, so that each costs its note; the second time is cheaper. All are asked for in the proxy
form, where the password alone says whether anything is recorded. Fails above the limit.
"""

from __future__ import annotations

import http.client
import statistics
import sys
from base64 import b64encode

from bench.archive import SUITE, WHEN, Archive, Kind
from bench.harness import configure, cpu_seconds_of_threads, fetch, pin, read_indexes, room, table, url_path
from tests.fakes.proxy import Snapproxy

SMALL = Kind("small", 3_000, 20_000)
LIMIT = 1.05
"""Processor time of an answer that is recorded, over that of one that is not."""

NOTHING = "x"
"""The password that records nothing."""

_ROUNDS = 12
_TURN = 100
"""Files asked for one way before they are asked for the other way: whatever slows the machine down slows both."""
_MIB = 1 << 20


def ask(proxy: Snapproxy, client: http.client.HTTPConnection, password: str, numbers: range) -> float:
    """Ask for small files, and return the processor seconds that the proxy spends. Raises SystemExit for anything but success."""
    before = cpu_seconds_of_threads(proxy.pid)
    credentials = {"Proxy-Authorization": f"Basic {b64encode(f'{WHEN}:{password}'.encode()).decode()}"}
    for number in numbers:
        client.request("GET", f"http://ftp.debian.org/debian/{SMALL.path(number)}", headers=credentials)
        answer = client.getresponse()
        if answer.status != http.client.OK:
            raise SystemExit(f"{answer.status} {answer.reason}")
        answer.read()
    return cpu_seconds_of_threads(proxy.pid) - before


def cost(proxy: Snapproxy, client: http.client.HTTPConnection, capture: str) -> float:
    """Return what the files cost when they are recorded, over what they cost when they are not."""
    fetch(proxy.url, f"/~{capture}{url_path(f'dists/{SUITE}/InRelease')}")  # a capture begins with its first answer
    seconds = {capture: 0.0, NOTHING: 0.0}
    for first in range(0, SMALL.count, _TURN):
        numbers = range(first, min(first + _TURN, SMALL.count))
        # Each way comes first in turn, and finds the processor's caches without these files.
        for password in seconds if first // _TURN % 2 else reversed(seconds):
            seconds[password] += ask(proxy, client, password, numbers)
    return seconds[capture] / seconds[NOTHING]


def main() -> int:
    with (
        room(200 * _MIB) as folder,
        Archive(folder, (SMALL,)) as archive,
        Snapproxy(configure(folder, archive)) as proxy,
    ):
        read_indexes(proxy)
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
        ask(proxy, client, NOTHING, range(SMALL.count))
        pin(proxy.pid, 0)
        ratios = [cost(proxy, client, f"build{turn}") for turn in range(_ROUNDS)]
        client.close()
    median = statistics.median(ratios)
    print(f"{SMALL.count} files of 20 KB from the store, recorded / not recorded: median (least-greatest) of {_ROUNDS}")
    table(("processor time", f"{median:.3f} ({min(ratios):.3f}-{max(ratios):.3f})"), ("limit", f"{LIMIT:.3f}"))
    return 0 if median <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
