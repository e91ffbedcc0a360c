"""From a request to its answer on the wire: reads the address, asks for the outcome, weighs the conditions, sends.

What an address means is `core.address`'s, what answers it the `Answerer`'s, how bytes leave `bodies`'s. A client's
Cache-Control and Pragma are ignored: what is pinned cannot be fresher.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import assert_never

from aiohttp.http_exceptions import LineTooLong

from snapproxy.core.conditions import ConditionalHeaders, WholeFile, decide
from snapproxy.core.exchange import (
    Answerer,
    BlobAnswerer,
    BlobTarget,
    Conditions,
    FileTarget,
    Forwarder,
    Moved,
    PageTarget,
    PassTarget,
    ScriptTarget,
    Served,
    ServiceTarget,
    Target,
    TrafficCounter,
    TunnelTarget,
)
from snapproxy.core.http_date import read_http_date, write_http_date
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.ranges import ByteRange
from snapproxy.errors import SnapproxyError
from snapproxy.web import access_log, bodies
from snapproxy.web.heads import ReplyHead, plain, render
from snapproxy.web.pages import Pages
from snapproxy.web.protocol import ClientRequest, Ending, Limits
from snapproxy.web.replies import failure, file_reply, moved_reply, passed_reply, refusal_reply, validators
from snapproxy.web.request_checks import refuse_head
from snapproxy.web.response_writer import ResponseWriter
from snapproxy.web.tunnel import Tunnels

ReadAddress = Callable[[str, str, str, str], Target | Refusal]
"""(method, raw target, Host, Proxy-Authorization) -> what is asked for. `core.address.read` with its book filled in."""

_log = logging.getLogger(__name__)

_FIRST_BYTE_S = 5.0
"""How long the head of a file that still arrives waits for its first bytes: until then a failure can be a status."""


class Gateway:
    """Answers the requests of every connection.

    `instance` names this proxy in Via, so that a loop back to it is seen. `now` gives the time, for Date.
    """

    def __init__(
        self,
        answerer: Answerer,
        read_address: ReadAddress,
        *,
        pages: Pages,
        holding: BlobAnswerer,
        forwarder: Forwarder,
        tunnels: Tunnels,
        tally: TrafficCounter,
        instance: str,
        now: Callable[[], Instant],
        limits: Limits,
    ) -> None:
        self._answerer = answerer
        self._read_address = read_address
        self._pages = pages
        self._holding = holding
        self._forwarder = forwarder
        self._tunnels = tunnels
        self._tally = tally
        self._instance = instance
        self._now = now
        self._limits = limits
        self.is_closing = False

    async def handle(self, request: ClientRequest) -> Ending:
        """Answer `request`, whatever happens, and log one line. Raises only CancelledError: the client has left."""
        wire = ResponseWriter(request, common=self._common(), closing=self.is_closing)
        entry = access_log.AccessEntry(request.connection.peer, request.method, request.target)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await self._answer(request, wire, entry)
        except asyncio.CancelledError:
            wire.outcome = "left"
            raise
        except Exception as error:  # noqa: BLE001 # whatever broke, the client must get a status or see a cut, never a clean end
            await self._fail(wire, error)
        finally:
            entry.status, entry.sent, entry.outcome = wire.status, wire.sent, wire.outcome
            entry.seconds = loop.time() - began
            access_log.write(entry)
        return Ending(request.connection, keep_alive=wire.keeps_alive)

    @staticmethod
    async def _fail(wire: ResponseWriter, error: Exception) -> None:
        """Tell the client of a failure: by a status while nothing has been sent, by a cut afterwards."""
        if wire.status == 0:
            if not isinstance(error, SnapproxyError):
                _log.error("A request failed inside", exc_info=error)
            try:
                await wire.say(refusal_reply(failure(error, None), closes=True))
            except (ConnectionError, TimeoutError):
                wire.cut("left")
        elif isinstance(error, ConnectionError):
            wire.cut("left")
        elif isinstance(error, TimeoutError):
            wire.cut("stalled")
        else:
            wire.cut("cut")
            _log.warning("An answer was cut: %s: %s", type(error).__name__, plain(str(error)))

    def foresee(self, request: ClientRequest, *, runs_next: bool) -> bool:
        """Begin what a request that waits in a pipeline will need, unless it will be refused for its head."""
        if refuse_head(request, self._instance) is not None:
            return False
        if request.method == "GET" and not runs_next:
            target = self._read(request)
            if isinstance(target, FileTarget | ServiceTarget):
                self._answerer.prefetch(target)
        return request.keep_alive

    def malformed(self, peer: str, error: Exception) -> bytes:
        """Return the answer to what is no HTTP, and log that it came, without its bytes."""
        if not isinstance(error, LineTooLong):
            refusal = Refusal(
                400, "The request is not proper HTTP", hint="snapproxy speaks HTTP/1.1, without TLS, on this port."
            )
        elif error.args[1] == self._limits.line:
            refusal = Refusal(414, "The address is too long", why=f"At most {self._limits.line} bytes are read.")
        else:
            refusal = Refusal(431, "A header field is too long", why=f"At most {self._limits.field} bytes are read.")
        reply = refusal_reply(refusal, closes=True)
        access_log.write(access_log.AccessEntry(peer, "-", "-", reply.status, len(reply.text)))
        framing = (("Content-Length", str(reply.length)), ("Connection", "close"))
        return render(reply.status, reply.reason, (*reply.fields, *self._common(), *framing)) + reply.text

    def _common(self) -> tuple[tuple[str, str], ...]:
        return (("Date", write_http_date(self._now())), ("Server", "snapproxy"), ("Via", f"1.1 {self._instance}"))

    def _read(self, request: ClientRequest) -> Target | Refusal:
        headers = request.headers
        return self._read_address(
            request.method, request.target, headers.get("Host", ""), headers.get("Proxy-Authorization", "")
        )

    async def _answer(self, request: ClientRequest, wire: ResponseWriter, entry: access_log.AccessEntry) -> None:
        refused = refuse_head(request, self._instance)
        if refused is not None:
            await wire.say(refusal_reply(refused, closes=True))
            return
        target = self._read(request)
        match target:
            case Refusal():
                await wire.say(self._refuse(request, target))
            case PassTarget() | TunnelTarget():
                await self._let_pass(request, wire, target)
            case _ if request.method not in {"GET", "HEAD"}:
                headers = {"Allow": "GET, HEAD"}
                await wire.say(
                    self._refuse(request, Refusal(405, "Only GET and HEAD are answered here", headers=headers))
                )
            case PageTarget():
                page = await self._pages.answer(target.path, request.headers.get("Host", ""))
                await wire.say(page if isinstance(page, ReplyHead) else refusal_reply(page))
            case ScriptTarget():
                await wire.say(self._pages.script(target, request.headers.get("Host", "")))
            case FileTarget() | ServiceTarget():
                await self._answer_file(request, wire, target, entry)
            case BlobTarget():
                held = await self._holding.answer(target)
                if isinstance(held, Refusal):
                    await wire.say(refusal_reply(held))
                else:
                    await self._send(request, wire, "", held, entry)
            case _:
                assert_never(target)

    @staticmethod
    def _refuse(request: ClientRequest, refusal: Refusal) -> ReplyHead:
        """Refuse; a connection whose client may have sent more than a head already is not used again.

        What follows a refused CONNECT might be meant for the tunnel, and what follows a body's head is the body.
        """
        return refusal_reply(refusal, closes=request.method == "CONNECT" or request.has_body)

    async def _answer_file(
        self,
        request: ClientRequest,
        wire: ResponseWriter,
        target: FileTarget | ServiceTarget,
        entry: access_log.AccessEntry,
    ) -> None:
        since = read_http_date(request.headers.get("If-Modified-Since", ""))
        via = ", ".join(request.headers.getall("Via", ()))
        outcome = await self._answerer.answer(target, Conditions(since=since, via=via))
        self._tally.outcome(outcome)
        match outcome:
            case Refusal():
                await wire.say(refusal_reply(outcome))
            case Moved():
                await wire.say(moved_reply(outcome, target.archive.name))
            case Served():
                await self._send(request, wire, target.path, outcome, entry)
            case _:
                assert_never(outcome)

    async def _send(
        self, request: ClientRequest, wire: ResponseWriter, path: str, served: Served, entry: access_log.AccessEntry
    ) -> None:
        entry.cache, entry.proof = served.cache, served.proof.word
        if served.archive:
            entry.snapshot = f"{served.archive}/{served.snapshot}"
        try:
            await self._serve(request, wire, path, served)
        finally:
            served.body.close()
            self._tally.sent(wire.sent)

    async def _serve(self, request: ClientRequest, wire: ResponseWriter, path: str, served: Served) -> None:
        verdict = decide(_asked(request), validators(served), served.body.size)
        reply = file_reply(served, path, verdict)
        if isinstance(verdict, WholeFile) and request.method == "GET":
            if not served.digest and (broken := await _broken_from_the_start(served)) is not None:
                await wire.say(refusal_reply(broken))
                return
            size = served.body.size
            await bodies.send(
                wire, file_reply(served, path, verdict), served.body, ByteRange(0, size) if size is not None else None
            )
        elif isinstance(verdict, ByteRange):
            await bodies.send(wire, reply, served.body, verdict)
        else:
            await wire.say(reply)

    async def _let_pass(self, request: ClientRequest, wire: ResponseWriter, target: PassTarget | TunnelTarget) -> None:
        """Let a request reach its host unpinned, unless a capture could not take note of it."""
        refusal = await self._answerer.passing(target)
        if refusal is None and isinstance(target, PassTarget):
            await self._pass(request, wire, target)
            return
        if refusal is None and isinstance(target, TunnelTarget):
            refusal = await self._tunnels.carry(target, wire)
        if refusal is not None:
            await wire.say(self._refuse(request, refusal))

    async def _pass(self, request: ClientRequest, wire: ResponseWriter, target: PassTarget) -> None:
        """Hand a request on and its answer back. Both bodies stream; nothing is kept."""
        if request.has_body and request.headers.get("Expect", "").lower() == "100-continue":
            wire.put(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = request.body() if request.has_body else None
        passed = await self._forwarder.forward(target, request.method, request.headers.items(), body)
        if isinstance(passed, Refusal):
            await wire.say(self._refuse(request, passed))
            return
        try:
            wire.begin(passed_reply(passed))
            if wire.wants_body:
                await wire.copy(passed.chunks())
                await wire.finish()
        finally:
            passed.close()


def _asked(request: ClientRequest) -> ConditionalHeaders:
    headers = request.headers
    return ConditionalHeaders(
        method=request.method,
        if_none_match=", ".join(headers.getall("If-None-Match", ())),
        if_modified_since=headers.get("If-Modified-Since", ""),
        if_range=headers.get("If-Range", ""),
        range=", ".join(headers.getall("Range", ())),
    )


async def _broken_from_the_start(served: Served) -> Refusal | None:
    """Wait a little for an arriving file's first bytes, and return a refusal if it fails before there are any."""
    waited = asyncio.timeout(_FIRST_BYTE_S)
    try:
        async with waited:
            await served.body.wait(0)
    except Exception as error:  # noqa: BLE001 # a body fails in its store's own ways; here each can still be a status
        return None if waited.expired() else failure(error, served.role)
    return None
