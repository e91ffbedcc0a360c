"""Clients that request what does not exist, leave, or name many captures: nothing grows, and all others are served."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.harness import MIB, anonymous, family
from tests.fakes.faults import Hold
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Edition, Hamlet, content_of
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.rawclient import RawClient, request
from tests.fakes.signing import SigningKey

PATHS = int(os.environ.get("SOAK_PATHS") or 10_000)
CONNECTIONS = 16
LEAVING = 1000
CAPTURES = 1300
DESCRIPTORS = 1024
"""A common limit of a service's descriptors."""

MORE_MEMORY = 48 * MIB
"""Allowed growth of memory between the first tenth of the paths and the last.

SQLite keeps up to 32 MiB of pages of the table of absences.
"""
MORE_DESCRIPTORS = 32
"""Allowed growth in open descriptors; connections to upstream that are kept open vary."""
MOST_STORED = 300 * MIB
"""Maximum size of the table of absences, whose limit is 256 MiB."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.fixture
def hamlet(tmp_path: Path) -> Iterator[Hamlet]:
    key = SigningKey(tmp_path / "gnupg")
    with Hamlet(Edition(key)) as hamlet:
        yield hamlet
    key.close()


def configure(folder: Path, hamlet: Hamlet, pace: str) -> Path:
    row = hamlet.row
    folder.mkdir()
    path = folder / "config.toml"
    path.write_text(
        f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
        f'[archives.debian]\nsnapshot = ["{row.snapshot[0]}"]\nmirrors = ["{row.mirrors[0]}"]\n'
        f'keyrings = ["{row.keyrings[0]}"]\n'
        + "".join(f'[upstreams."{urlsplit(server.url).hostname}"]\n{pace}' for server in (hamlet.past, hamlet.now))
    )
    return path


def weigh(process: Snapproxy) -> tuple[int, int]:
    """Return the anonymous memory of the process and its children, and its open descriptors."""
    held = sum(anonymous(each) for each in family(process.pid))
    return held, len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def target(path: str) -> str:
    return f"/debian/{FIRST}/{path}"


async def ask_for_absent(port: int, first: int, last: int) -> None:
    client = await RawClient.connect(port)
    for number in range(first, last):
        answer = await client.get(target(f"doc/absent/{number}"))
        assert answer.status == 404, (answer.status, answer.reason)
    client.close()


async def ask_for_all(port: int, first: int, last: int) -> None:
    share = -(-(last - first) // CONNECTIONS)
    await asyncio.gather(
        *(ask_for_absent(port, start, min(start + share, last)) for start in range(first, last, share))
    )


async def test_distinct_absent_paths_leave_nothing_that_grows(hamlet: Hamlet, tmp_path: Path) -> None:
    pace = "connections = 16\nrequests_per_second = 1000\nburst = 1000\n"
    folder = tmp_path / "snapproxy"
    with Snapproxy(configure(folder, hamlet, pace)) as process:
        client = await RawClient.connect(process.port)
        assert (await client.get(target(INRELEASE))).status == 200
        client.close()
        await ask_for_all(process.port, 0, PATHS // 10)
        memory, descriptors = weigh(process)
        await ask_for_all(process.port, PATHS // 10, PATHS)
        hamlet.log.reset_counts()
        after = weigh(process)
        stored = {
            name: sum(each.stat().st_size for each in (folder / name).rglob("*") if each.is_file())
            for name in ("state", "cache")
        }
        print(f"\n{PATHS} absent paths: memory {memory} to {after[0]}, {descriptors} to {after[1]} open, {stored}")
        assert after[0] - memory < MORE_MEMORY
        assert after[1] - descriptors < MORE_DESCRIPTORS
        assert sum(stored.values()) < MOST_STORED
        assert list((folder / "state/drafts").iterdir()) == []


async def leave(port: int, number: int, *, reset: bool) -> None:
    client = await RawClient.connect(port)
    await client.send(request(target(f"doc/left/{number}")))
    if reset:
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_thousand_clients_that_leave_delay_nobody(hamlet: Hamlet, tmp_path: Path, *, reset: bool) -> None:
    pace = "connections = 2\nrequests_per_second = 20\nburst = 2\n"
    with Snapproxy(configure(tmp_path / "snapproxy", hamlet, pace)) as process:
        client = await RawClient.connect(process.port)
        for path in (INRELEASE, PACKAGES):
            assert (await client.get(target(path))).status == 200
        hold = hamlet.past.fault("*doc/left/*", Hold(after=None, patience=0.2))
        memory, descriptors = weigh(process)
        for first in range(0, LEAVING, 50):
            await asyncio.gather(*(leave(process.port, number, reset=reset) for number in range(first, first + 50)))
        _, during = weigh(process)
        async with asyncio.timeout(10):
            old = await client.get(target(hamlet.edition.old.path))
        assert (old.status, old.body) == (200, content_of(hamlet.edition.old).data)
        hold.release()
        after = weigh(process)
        asked = sum("doc/left/" in each.path for each in hamlet.log.entries)
        print(f"\n{LEAVING} clients left: {descriptors}, {during}, {after[1]} open, {asked} requests upstream")
        assert max(during, after[1]) - descriptors < 64 + MORE_DESCRIPTORS, "64 may have closed their sending half only"
        assert after[0] - memory < MORE_MEMORY
        client.close()


async def test_more_captures_than_descriptors_are_recorded(hamlet: Hamlet, tmp_path: Path) -> None:
    """Each capture had a descriptor as long as the process lived, and the last ones got no answer."""
    pace = "connections = 4\nrequests_per_second = 500\nburst = 500\n"
    with Snapproxy(configure(tmp_path / "snapproxy", hamlet, pace)) as process:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        client = await RawClient.connect(process.port)
        assert (await client.get(target(INRELEASE))).status == 200
        memory, descriptors = weigh(process)
        for number in range(CAPTURES):
            answer = await client.get(f"/~capture-{number}{target(INRELEASE)}")
            assert (answer.status, answer.is_whole) == (200, True), (number, answer.reason)
        after = weigh(process)
        assert (await client.get(target(PACKAGES))).status == 200
        client.close()
        print(f"\n{CAPTURES} captures: memory {memory} to {after[0]}, {descriptors} to {after[1]} open")
        assert after[1] - descriptors < 64 + MORE_DESCRIPTORS
        assert after[0] - memory < MORE_MEMORY
    listed = run("capture", "list", "--config", str(process.configuration), "--json")
    assert len(json.loads(listed.stdout)) == CAPTURES
