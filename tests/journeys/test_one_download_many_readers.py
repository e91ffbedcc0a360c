"""Fifty clients request one uncached file from an upstream that sends one piece and waits.

Upstream gets one request, and every client gets the first piece before the end.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.faults import Hold
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey
CLIENTS = 50
PIECE = 1_000_000


@dataclass
class Reader(threading.Thread):
    """One client: reads one byte, reports it, then reads the rest."""

    port: int
    path: str
    begun: threading.Semaphore
    digest: str = field(default="", init=False)
    problem: str = field(default="", init=False)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", self.path)
            answer = connection.getresponse()
            if answer.status != 200:
                self.problem = f"{answer.status} {answer.reason}"
                return
            first = answer.read(1)
            self.begun.release()
            self.digest = hashlib.sha256(first + answer.read()).hexdigest()
        except (OSError, http.client.HTTPException) as error:
            self.problem = repr(error)
        finally:
            connection.close()


def fifty(world: World, ports: Sequence[int]) -> None:
    package = next(each for each in world.first.debian.packages if each.name == "libc6")
    content = package.files[package.path]
    assert content.size > 2 * PIECE
    holds = [
        server.fault(f"*/{Path(package.path).name}", Hold(after=PIECE)) for server in (world.mirror, world.snapshot)
    ]
    begun = threading.Semaphore(0)
    readers = [Reader(ports[turn % len(ports)], f"/debian/{FIRST}/{package.path}", begun) for turn in range(CLIENTS)]
    try:
        for reader in readers:
            reader.start()
        deadline = time.monotonic() + 30
        waiting = [begun.acquire(timeout=max(0, deadline - time.monotonic())) for _ in readers]
        assert all(waiting), f"{waiting.count(True)} of {CLIENTS} read a byte: {[each.problem for each in readers]}"
        asked = [
            each
            for each in world.log.requests()
            if each.path.endswith(Path(package.path).name) or each.path == f"/file/{content.sha1}"
        ]
        assert len(asked) == 1, [(each.service, each.path) for each in asked]
    finally:
        for hold in holds:
            hold.release()
    for reader in readers:
        reader.join(60)
    assert {(reader.digest, reader.problem) for reader in readers} == {(content.sha256, "")}


def test_fifty_clients_of_one_process(world: World, snapproxy: Snapproxy) -> None:
    fifty(world, [snapproxy.port])


def test_fifty_clients_of_two_processes_on_one_store(world: World, tmp_path: Path) -> None:
    settings = configuration(tmp_path / "shared", world)
    with Snapproxy(settings, name="one") as one, Snapproxy(settings, name="two") as two:
        fifty(world, [one.port, two.port])
