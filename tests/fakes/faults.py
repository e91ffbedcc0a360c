"""Faults of a simulated service.

A fault plays one exchange in place of the correct answer. A fault of the body waits for an answer that has one (200,
206), so that a fault on a snapshot path applies where its redirect leads; the others apply immediately.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from tests.fakes.content import Content
from tests.fakes.services import Answer, page


class Exchange(Protocol):
    """One request that is being answered, as the server passes it to a fault."""

    path: str
    answer: Answer

    def send_head(self, answer: Answer) -> tuple[int, int]:
        """Send status line and headers for `answer` (ranges applied); return the span of its content that follows."""

    def send(self, data: bytes) -> None: ...

    def send_span(self, answer: Answer, start: int, stop: int) -> None: ...

    def end(self, *, reset: bool = False) -> None:
        """Close the connection after this exchange: regularly, or with a TCP reset."""


class Fault(Protocol):
    @property
    def needs_body(self) -> bool:
        """Whether the fault waits for an answer that has a body."""

    def play(self, exchange: Exchange) -> None: ...


def complete(exchange: Exchange, answer: Answer) -> None:
    """Send an answer correctly."""
    exchange.send_span(answer, *exchange.send_head(answer))


@dataclass(frozen=True)
class Status:
    """Answers with this status: 403, 404 (by mistake), 429, 503, 509, ..."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    needs_body: bool = False

    def play(self, exchange: Exchange) -> None:
        answer = page(self.code)
        complete(exchange, replace(answer, headers={**answer.headers, **self.headers}))


@dataclass(frozen=True)
class Html:
    """Answers 200 with a web page, as captive portals do."""

    needs_body: bool = False

    def play(self, exchange: Exchange) -> None:
        complete(exchange, page(200, "Please log in to the network"))


@dataclass(frozen=True)
class Redirect:
    """Redirects to another address; '' redirects to the request's own address, without end."""

    location: str = ""
    needs_body: bool = False

    def play(self, exchange: Exchange) -> None:
        complete(exchange, page(302, "Found", Location=self.location or exchange.path))


@dataclass(frozen=True)
class Reset:
    """Resets the connection before the head (None) or at this offset of the whole body, wherever a range begins.

    `linger` seconds let the client read the sent bytes first: aiohttp drops its buffered bytes when a connection
    breaks.
    """

    after: int | None = None
    linger: float = 0.0

    @property
    def needs_body(self) -> bool:
        return self.after is not None

    def play(self, exchange: Exchange) -> None:
        if self.after is not None:
            start, stop = exchange.send_head(exchange.answer)
            exchange.send_span(exchange.answer, start, min(self.after, stop))
            time.sleep(self.linger)
        exchange.end(reset=True)


@dataclass(frozen=True)
class Truncate:
    """Announces the whole range, sends up to this offset of the whole body and closes: a resume gets no further.

    `linger` as in Reset.
    """

    after: int
    linger: float = 0.0
    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        start, stop = exchange.send_head(exchange.answer)
        exchange.send_span(exchange.answer, start, min(self.after, stop))
        time.sleep(self.linger)
        exchange.end()


@dataclass(frozen=True)
class TooLong:
    """Sends the correct bytes and then more; Content-Length counts all of them."""

    extra: bytes = b"\0" * 4096
    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        content = exchange.answer.content
        complete(exchange, replace(exchange.answer, content=Content(content.data + self.extra, content.modified)))


@dataclass(frozen=True)
class WrongBytes:
    """Sends the correct number of bytes, with one of them changed: a wrong digest at the right size."""

    at: int = -1
    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        content = exchange.answer.content
        data = bytearray(content.data)
        data[self.at] ^= 0x55
        complete(exchange, replace(exchange.answer, content=Content(bytes(data), content.modified)))


@dataclass(frozen=True)
class Replace:
    """Sends other bytes: a root signed with an unknown key, or the content of another file."""

    content: Content
    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        complete(exchange, replace(exchange.answer, content=self.content))


@dataclass(frozen=True)
class Drip:
    """Sends the body in small pieces, one every `every` seconds."""

    piece: int = 1024
    every: float = 0.05
    needs_body: bool = True

    def play(self, exchange: Exchange) -> None:
        start, stop = exchange.send_head(exchange.answer)
        for at in range(start, stop, self.piece):
            exchange.send_span(exchange.answer, at, min(at + self.piece, stop))
            time.sleep(self.every)


@dataclass
class Meanwhile:
    """Answers from the archive's state at the time of the request, and runs an action before the answer is sent.

    The action runs at this request, or at every one. `count` is the number of requests.
    """

    happens: Callable[[], object]
    at: int | None = None
    count: int = 0
    needs_body: bool = False

    def play(self, exchange: Exchange) -> None:
        if self.at in (None, self.count):
            self.happens()
        self.count += 1
        complete(exchange, exchange.answer)


class Hold:
    """Sends so many bytes of the body and waits until released; `after=None` waits before the head.

    `reached` is set when the first exchange waits. A hold that is not released continues by itself after `patience`
    seconds.
    """

    def __init__(self, *, after: int | None = 0, patience: float = 60) -> None:
        self.after = after
        self.needs_body = after is not None
        self.reached = threading.Event()
        self._released = threading.Event()
        self._patience = patience

    def release(self) -> None:
        self._released.set()

    def play(self, exchange: Exchange) -> None:
        if self.after is None:
            self._wait()
            complete(exchange, exchange.answer)
            return
        start, stop = exchange.send_head(exchange.answer)
        middle = min(start + self.after, stop)
        exchange.send_span(exchange.answer, start, middle)
        self._wait()
        exchange.send_span(exchange.answer, middle, stop)

    def _wait(self) -> None:
        self.reached.set()
        self._released.wait(self._patience)
