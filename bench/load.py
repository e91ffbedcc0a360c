"""Cheap clients: many connections in one process; the kernel discards the bodies without a copy (MSG_TRUNC)."""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

_BUFFER = 1 << 20
_HEAD = 64 << 10
_TICK = 0.02


@dataclass(frozen=True)
class Job:
    """The requests of one client: the file at `path`, `times` times (0: until all other clients have finished).

    `rate` is in bytes a second (None: unlimited).
    """

    port: int
    path: str
    host: str = "127.0.0.1"
    rate: int | None = None
    times: int = 1


@dataclass
class Result:
    """The result of a job. Times are in seconds since the common start; `received` counts the bytes of bodies."""

    status: int = 0
    received: int = 0
    answers: int = 0
    first_byte: float = 0.0
    ended: float = 0.0
    problem: str = ""


class Clients:
    """A process with one connection for each job. They connect immediately, and `go` starts their requests."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        context = multiprocessing.get_context("spawn")
        self._wire, theirs = context.Pipe()
        self._process = context.Process(target=_run_clients, args=(tuple(jobs), theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._wire.recv()  # all are connected

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join(10)

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def go(self) -> None:
        """Make every client send its request."""
        self._wire.send("go")

    def results(self, timeout: float) -> list[Result]:
        """Wait for the end of every job with a fixed number of requests. Raises TimeoutError."""
        if not self._wire.poll(timeout):
            raise TimeoutError(f"the clients were not done within {timeout:.0f} s")
        found: list[Result] = self._wire.recv()
        return found


class _Client:
    """One connection: it sends requests, skips the heads, discards the bodies, and counts their bytes."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result = Result()
        self.socket = socket.create_connection((job.host, job.port), timeout=10)
        self.socket.settimeout(0)
        self.began = 0.0
        self._left = 0

    def begin(self, began: float) -> None:
        self.began = began
        self._ask()

    def _ask(self) -> None:
        self.socket.send(f"GET {self.job.path} HTTP/1.1\r\nHost: {self.job.host}:{self.job.port}\r\n\r\n".encode())

    @property
    def is_due(self) -> bool:
        """Whether the client may read now without exceeding its rate."""
        rate = self.job.rate
        return rate is None or self.result.received <= rate * (time.monotonic() - self.began)

    def read(self, buffer: bytearray) -> bool:
        """Read the available bytes. Return whether the job has ended."""
        try:
            ended = self._read_body(buffer) if self._left else self._read_head()
        except BlockingIOError:
            return False
        except (OSError, ValueError) as error:
            self.result.problem = str(error) or type(error).__name__
            ended = True
        if ended:
            self.result.ended = time.monotonic() - self.began
        return ended

    def _read_head(self) -> bool:
        """Read the head from the socket without any byte of the body, which the kernel can then discard."""
        seen = self.socket.recv(_HEAD, socket.MSG_PEEK)
        if not seen:
            raise ConnectionResetError("the server closed the connection")
        end = seen.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self.socket.recv(end + 4).decode("latin-1").split("\r\n")
        self.result.status = int(lines[0].split()[1])
        if self.result.status != 200:
            raise ValueError(lines[0])
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        self._left = int(fields["content-length"])
        return False

    def _read_body(self, buffer: bytearray) -> bool:
        count = self.socket.recv_into(buffer, min(len(buffer), self._left), socket.MSG_TRUNC)
        if not count:
            raise ConnectionResetError(f"the answer was cut {self._left} bytes before its end")
        self.result.first_byte = self.result.first_byte or time.monotonic() - self.began
        self.result.received += count
        self._left -= count
        if self._left:
            return False
        self.result.answers += 1
        if self.result.answers == self.job.times:
            return True
        self._ask()
        return False


def _run_clients(jobs: Sequence[Job], wire: Connection) -> None:
    clients = [_Client(job) for job in jobs]
    wire.send("ready")
    wire.recv()
    began = time.monotonic()
    for client in clients:
        client.begin(began)
    _read_all(clients)
    wire.send([client.result for client in clients])
    wire.recv()


def _read_all(clients: Sequence[_Client]) -> None:
    """Read until every job with a fixed number of requests has ended. A failed job counts as ended."""
    buffer = bytearray(_BUFFER)
    watched = selectors.DefaultSelector()
    paused: list[_Client] = []
    for client in clients:
        watched.register(client.socket, selectors.EVENT_READ, client)
    left = sum(client.job.times > 0 for client in clients)
    while left:
        for client in [each for each in paused if each.is_due]:
            paused.remove(client)
            watched.register(client.socket, selectors.EVENT_READ, client)
        for key, _ in watched.select(_TICK if paused else None):
            client = key.data
            if not client.is_due:
                watched.unregister(client.socket)
                paused.append(client)
            elif client.read(buffer):
                watched.unregister(client.socket)
                left -= client.job.times > 0
