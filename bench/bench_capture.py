"""Benchmark of recording: request each file of the store once with a new capture and once without a capture.

Each file is requested for the first time in its capture, so that each answer writes a note; later answers are cheaper.
All requests use the proxy form, in which only the password decides about recording. The benchmark fails above the
limit.
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
"""The largest allowed ratio of processor time, recorded / not recorded."""

NOTHING = "x"
"""The password that disables recording."""

_ROUNDS = 12
_TURN = 100
"""Files requested one way before the same files are requested the other way: a slow machine then slows down both."""
_MIB = 1 << 20


def ask(proxy: Snapproxy, client: http.client.HTTPConnection, password: str, numbers: range) -> float:
    """Request small files and return the processor seconds of the proxy. Raises SystemExit unless they are all 200."""
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
    """Return the ratio of the processor time for all files, recorded / not recorded."""
    fetch(proxy.url, f"/~{capture}{url_path(f'dists/{SUITE}/InRelease')}")  # the first answer creates the capture
    seconds = {capture: 0.0, NOTHING: 0.0}
    for first in range(0, SMALL.count, _TURN):
        numbers = range(first, min(first + _TURN, SMALL.count))
        # Each way is first in every second turn, when the processor's caches do not contain the files.
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
