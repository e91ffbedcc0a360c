"""Several processes of snapproxy on one store.

They share one download, one lookup, one cool-down, even when one of them is killed.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.fakes.content import Content
from tests.fakes.faults import Hold, Status
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey
PIECE = 1_000_000
PAGES = 64 * 1024
"""Room for redirects, error pages and timelines, in bytes."""


@pytest.fixture
def settings(world: World, tmp_path: Path) -> Path:
    return configuration(tmp_path / "shared", world)


@pytest.fixture
def two(settings: Path) -> Iterator[tuple[Snapproxy, Snapproxy]]:
    with Snapproxy(settings, name="one") as one, Snapproxy(settings, name="two") as two:
        yield one, two


def big(world: World) -> tuple[str, Content]:
    """Return the path and the content of a package of several megabytes."""
    package = next(each for each in world.first.debian.packages if each.name == "libc6")
    assert package.files[package.path].size > 2 * PIECE
    return f"/debian/{FIRST}/{package.path}", package.files[package.path]


def get(proxy: Snapproxy, path: str) -> tuple[int, str, str]:
    """Return status, reason and the SHA-256 of the body."""
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    try:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.reason, hashlib.sha256(answer.read()).hexdigest()
    finally:
        client.close()


class Reader(threading.Thread):
    """Reads one byte, reports it, then reads the rest."""

    def __init__(self, proxy: Snapproxy, path: str) -> None:
        super().__init__(daemon=True)
        self.begun = threading.Event()
        self.digest = self.problem = ""
        self._proxy, self._path = proxy, path
        self.start()

    def run(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._proxy.port, timeout=60)
        try:
            client.request("GET", self._path)
            answer = client.getresponse()
            first = answer.read(1)
            self.begun.set()
            self.digest = hashlib.sha256(first + answer.read()).hexdigest()
        except (OSError, http.client.HTTPException) as error:
            self.problem = repr(error)
        finally:
            client.close()


def requests_for(world: World, path: str, content: Content) -> list[tuple[str, str]]:
    """Return (Range, If-Range) of every request for these bytes, to any server."""
    name = Path(path).name
    places = [(each, unquote(each.path)) for each in world.log.requests() if each.status in (200, 206)]
    asked = [each for each, place in places if place.endswith(name) or place == f"/file/{content.sha1}"]
    return [(each.headers.get("range", ""), each.headers.get("if-range", "")) for each in asked]


def test_a_reader_of_the_other_process_goes_along_from_the_first_byte(
    world: World, two: tuple[Snapproxy, Snapproxy]
) -> None:
    path, content = big(world)
    held = world.mirror.fault(f"*/{Path(path).name}", Hold(after=PIECE))
    world.snapshot.fault(f"*/{Path(path).name}", held)
    first = Reader(two[0], path)
    assert first.begun.wait(20)
    second = Reader(two[1], path)
    assert second.begun.wait(5), "it waits for the end"
    held.release()
    for reader in (first, second):
        reader.join(30)
        assert (reader.digest, reader.problem) == (content.sha256, "")
    assert len(requests_for(world, path, content)) == 1


def test_when_the_downloading_process_is_killed_the_other_takes_over(
    world: World, two: tuple[Snapproxy, Snapproxy]
) -> None:
    """One full request, and one for the remaining bytes.

    No byte is sent twice, and every reader of the surviving process gets the whole file.
    """
    one, other = two
    path, content = big(world)
    folder = f"/debian/{FIRST}/dists/{world.codename}"
    for needed in ("InRelease", "main/binary-amd64/Packages.xz"):
        assert get(one, f"{folder}/{needed}")[0] == 200
    held = Hold(after=PIECE)
    for server in (world.mirror, world.snapshot):
        server.fault(f"*/{Path(path).name}", held, times=1)
    lost = Reader(one, path)
    assert lost.begun.wait(20)
    readers = [Reader(other, path) for _ in range(5)]
    assert all(reader.begun.wait(10) for reader in readers)
    one.kill()
    held.release()
    for reader in readers:
        reader.join(30)
        assert (reader.digest, reader.problem) == (content.sha256, "")
    asked = requests_for(world, path, content)
    ranges = [span for span, _ in asked if span]
    assert len(asked) - len(ranges) == 1, asked
    assert len(ranges) == 1, asked
    assert int(ranges[0].removeprefix("bytes=").rstrip("-")) > PIECE // 2, "it goes on from where it broke"
    assert get(other, path) == (200, "OK", content.sha256)
    assert len(requests_for(world, path, content)) == len(asked)
    lost.join(10)
    assert lost.digest != content.sha256, "its own reader was cut"


@pytest.mark.parametrize("when", [FIRST, "live"])
def test_both_ask_at_once_and_upstream_is_asked_once(world: World, two: tuple[Snapproxy, Snapproxy], when: str) -> None:
    folder = f"dists/{world.codename}"
    state = world.first if when == FIRST else world.second
    package = next(each for each in state.debian.packages if each.name == "xz-utils").path
    paths = [f"{folder}/InRelease", f"{folder}/main/binary-amd64/Packages.xz", package]
    for path in paths:
        with ThreadPoolExecutor(12) as pool:
            each_of_two = [two[turn % 2] for turn in range(12)]
            answers = set(pool.map(get, each_of_two, [f"/debian/{when}/{path}"] * 12))
        assert answers == {(200, "OK", state.debian.files[path].sha256)}, path
    requests = [each.path for each in world.log.requests()]
    assert [path for path, times in Counter(requests).items() if times > 1] == []
    wanted = [state.debian.files[path] for path in paths]
    assert world.log.bytes_sent() < sum(each.size for each in wanted) + PAGES


@pytest.mark.long
def test_a_live_root_is_confirmed_once_for_both(world: World, two: tuple[Snapproxy, Snapproxy]) -> None:
    root = f"/debian/live/dists/{world.codename}/InRelease"
    assert get(two[0], root)[0] == 200
    time.sleep(11)
    world.reset()
    with ThreadPoolExecutor(12) as pool:
        assert {status for status, *_ in pool.map(lambda turn: get(two[turn % 2], root), range(12))} == {200}
    assert [each.status for each in world.log.requests()] == [304]


@pytest.mark.long
def test_a_cool_down_is_shared_and_outlives_a_restart(world: World, settings: Path) -> None:
    for server in (world.mirror, world.snapshot):
        server.fault("*", Status(429, {"Retry-After": "8"}), times=1)
    began = time.monotonic()
    with (
        Snapproxy(settings, name="one") as one,
        Snapproxy(settings, name="two") as two,
        ThreadPoolExecutor(3) as pool,
    ):
        first = pool.submit(get, one, f"/debian/{FIRST}/dists/{world.codename}/InRelease")
        while not any(each.status == 429 for each in world.snapshot.requests()):
            assert time.monotonic() - began < 20
            time.sleep(0.05)
        throttled = time.monotonic()
        second = pool.submit(get, two, f"/debian/{FIRST}/dists/{world.codename}/InRelease")
        time.sleep(1)
        asked = len(world.snapshot.requests())
        one.kill()
        one.start()
        third = pool.submit(get, one, f"/debian/{FIRST}/dists/{world.codename}/InRelease")
        time.sleep(1)
        assert len(world.snapshot.requests()) == asked == 1, "neither the other process nor the next life asks"
        assert second.result()[0] == 200
        assert third.result()[0] == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            first.result()
    after = [each for each in world.snapshot.requests() if each.status != 429]
    assert min(each.at for each in after) - throttled >= 7.5
