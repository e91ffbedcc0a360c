"""Send a file's bytes to a client.

They are sent by sendfile from a descriptor, otherwise by copying, even while the download continues.

The gateway owns the body and closes it. Every failure is raised, and the gateway aborts the connection. Memory use is
bounded: at most one small blob or one chunk is in memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from snapproxy.core.exchange import ResponseBody
from snapproxy.core.ranges import ByteRange
from snapproxy.web.replies import ReplyHead
from snapproxy.web.response_writer import STALL_S, ResponseWriter

SMALL = 64 << 10
"""Maximum bytes of a body that is read inline and sent together with its head: cheaper than sendfile or a thread."""

_PIECE = 512 << 10
"""Maximum bytes of one sendfile call, so that other clients are served in between."""


class BodyEndedShortError(RuntimeError):
    """A body ended before its stated length."""


async def send(wire: ResponseWriter, reply: ReplyHead, body: ResponseBody, span: ByteRange | None) -> None:
    """Send `reply` and the bytes of `span` (None: all bytes of a body of unknown size), following a running download.

    Raises ConnectionError if the client closes the connection, TimeoutError if it takes no bytes, and the errors of the
    body.
    """
    length = None if span is None else span.stop - span.start
    if span is not None and length is not None and length <= SMALL and (descriptor := body.fileno()) is not None:
        data = read_blob(descriptor, span)
        if len(data) == length:
            wire.begin(reply, data)
            await wire.finish()
            return
    wire.begin(reply)
    with _outlet(wire, body) as outlet:
        await _follow(wire, body, span, outlet)
    await wire.finish()


async def _follow(wire: ResponseWriter, body: ResponseBody, span: ByteRange | None, outlet: int | None) -> None:
    """Send the available bytes and wait for more, until the span or the body ends."""
    at, stop = (span.start, span.stop) if span is not None else (0, None)
    while stop is None or at < stop:
        ready = await body.wait(at)
        end = ready if stop is None else min(ready, stop)
        if end <= at:
            if stop is None and body.size == at:
                return
            raise BodyEndedShortError(f"the body ended at byte {ready}")
        if outlet is None:
            await wire.copy(body.chunks(at, end))
        else:
            await _sendfile(wire, outlet, body, ByteRange(at, end))
        at = end


async def _sendfile(wire: ResponseWriter, outlet: int, body: ResponseBody, span: ByteRange) -> None:
    """Move `span` in the kernel from the body's file to the socket `outlet`."""
    descriptor = body.fileno()
    if descriptor is None:
        raise BodyEndedShortError("the body has closed its file")
    await wire.flush()
    at = span.start
    while at < span.stop:
        wanted = min(_PIECE, span.stop - at)
        moved = move_file(outlet, descriptor, at, wanted)
        if moved == 0:
            raise BodyEndedShortError(f"the file ended at byte {at}")
        wire.sent += max(moved, 0)
        at += max(moved, 0)
        if moved < wanted:
            await _writable(outlet)
        else:
            await asyncio.sleep(0)  # one fast client must not delay the others


def read_blob(descriptor: int, span: ByteRange) -> bytes:
    """Read a small span inline: from the page cache this takes microseconds, a thread would cost five times as much.

    All bytes of the file may be sent: the last piece of a draft is not written before its verdict.
    """
    return os.pread(descriptor, span.stop - span.start, span.start)


def move_file(outlet: int, descriptor: int, at: int, count: int) -> int:
    """Return how many bytes the kernel moved: 0 at the end of the file, -1 if the socket's buffer is full."""
    try:
        return os.sendfile(outlet, descriptor, at, count)
    except BlockingIOError:
        return -1


async def _writable(descriptor: int) -> None:
    """Wait until the socket accepts bytes again, or has failed, which the next write reports."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _wake, ready)
    try:
        async with asyncio.timeout(STALL_S):
            await ready
    finally:
        loop.remove_writer(descriptor)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@contextmanager
def _outlet(wire: ResponseWriter, body: ResponseBody) -> Iterator[int | None]:
    """Yield a descriptor of the client's socket for sendfile, None if bytes must be copied (TLS, chunked, no file).

    It is a duplicate: the event loop's transport owns the original, and neither asyncio nor uvloop can watch a
    descriptor that a transport owns.
    """
    transport = wire.connection.transport
    if (
        transport is None
        or wire.is_chunked
        or body.fileno() is None
        or transport.get_extra_info("sslcontext") is not None
    ):
        yield None
        return
    sock = transport.get_extra_info("socket")
    if sock is None:
        yield None
        return
    duplicate = os.dup(sock.fileno())
    try:
        yield duplicate
    finally:
        os.close(duplicate)
