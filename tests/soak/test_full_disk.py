"""A small disk that is full, under misses of 20 MB each: memory and descriptors stay level, stored files are served."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.harness import MIB, anonymous, family
from tests.fakes.proxy import Snapproxy
from tests.fakes.rawclient import Answer, RawClient

SECONDS = float(os.environ.get("SOAK_FULL_SECONDS") or 30)
"""Duration with a full disk. Ten minutes were measured; the default fits `make test-long`."""

SIZE = 20_000_000
CLIENTS = 4
DISK = "64m"

MORE_MEMORY = 160 * MIB
"""Allowed growth of memory: all windows of downloads together have 128 MiB (design, "Drafts")."""
MORE_DESCRIPTORS = 64
"""Allowed growth in open descriptors."""
TIME = "20240601T000000Z"

pytestmark = [pytest.mark.long, pytest.mark.timeout(SECONDS + 300)]

SmallDisk = Callable[[str], Path]


class _Upstream(BaseHTTPRequestHandler):
    """Has a file of SIZE bytes at every path below `big/`, and of 1,000 bytes at every other one."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = SIZE if "/big/" in self.path else 1000
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        try:
            self.wfile.write(self.path.encode()[-1:] * size)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name in the standard library
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Ignore a connection that snapproxy has closed."""


@pytest.fixture
def upstream() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@dataclass
class _Counts:
    whole: int = 0
    refused: int = 0


def _configuration(folder: Path, state: Path, upstream: str) -> Path:
    path = folder / "config.toml"
    path.write_text(
        f'state_dir = "{state}"\ncache_dir = "{folder / "cache"}"\n'
        f'[archives.any]\nfamily = "apt"\nhistory = "any-instant"\nsnapshot = ["{upstream}"]\n'
        '[upstreams."127.0.0.1"]\nconnections = 8\nrequests_per_second = 500\nburst = 500\n'
    )
    return path


def _weigh(process: Snapproxy) -> tuple[int, int]:
    held = sum(anonymous(each) for each in family(process.pid))
    return held, len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


async def _get(port: int, path: str) -> Answer:
    client = await RawClient.connect(port)
    try:
        return await client.get(path)
    finally:
        client.close()


async def _ask_for_misses(port: int, number: int, until: float, counts: _Counts) -> None:
    count = 0
    while time.monotonic() < until:
        count += 1
        answer = await _get(port, f"/any/{TIME}/pool/big/p{number}-{count}_1_amd64.deb")
        if answer.status == 200 and answer.is_whole:
            assert len(answer.body) == SIZE
            counts.whole += 1
        else:
            assert answer.status in (200, 503), (answer.status, answer.reason)
            counts.refused += 1


async def test_a_full_disk_leaves_memory_and_descriptors_level(
    tiny_disk: SmallDisk, tmp_path: Path, upstream: str
) -> None:
    state = tiny_disk(DISK)
    with Snapproxy(_configuration(tmp_path, state / "state", upstream)) as process:
        stored = f"/any/{TIME}/pool/small_1_amd64.deb"
        assert (await _get(process.port, stored)).status == 200
        assert (await _get(process.port, "/readyz")).status == 200
        filler = state / "filler"
        free = os.statvfs(state)
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 4 * MIB))
        counts, samples = _Counts(), []
        until = time.monotonic() + SECONDS
        clients = [asyncio.create_task(_ask_for_misses(process.port, each, until, counts)) for each in range(CLIENTS)]
        while time.monotonic() < until:
            answer = await _get(process.port, stored)
            assert (answer.status, len(answer.body)) == (200, 1000), "a stored file is served"
            samples.append(_weigh(process))
            await asyncio.sleep(1)
        await asyncio.gather(*clients)
        assert (await _get(process.port, "/readyz")).status == 503
        index = await _get(process.port, f"/any/{TIME}/dists/big/main/binary-amd64/Packages")
        assert index.status == 424 or len(index.body) == SIZE, "never a 200 with a part"
        filler.unlink()
        async with asyncio.timeout(60):
            while (await _get(process.port, "/readyz")).status != 200:
                await asyncio.sleep(0.5)
        again = await _get(process.port, f"/any/{TIME}/pool/big/after_1_amd64.deb")
        assert (again.status, len(again.body)) == (200, SIZE)
        third = max(1, len(samples) // 3)
        memory, descriptors = [[each[at] for each in samples] for at in (0, 1)]
        print(
            f"\n{SECONDS:.0f} s, {counts.whole} of 20 MB whole, {counts.refused} refused or cut; memory "
            f"{min(memory) // MIB} to {max(memory) // MIB} MiB, descriptors {min(descriptors)} to {max(descriptors)}"
        )
        assert max(memory[-third:]) - min(memory[:third]) < MORE_MEMORY
        assert max(descriptors[-third:]) - min(descriptors[:third]) < MORE_DESCRIPTORS
        assert counts.whole
