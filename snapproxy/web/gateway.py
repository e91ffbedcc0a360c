"""Answer one request: read its address, get the outcome, apply the conditions, and send.

`core.address` reads addresses, an `Answerer` answers them, `bodies` sends the bytes. A client's Cache-Control and
Pragma are ignored: a pinned file never changes.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from aiohttp.http_exceptions import LineTooLong

from snapproxy.access.gate import Gate, sent_token
from snapproxy.access.scopes import RequestNeed
from snapproxy.core.address import foreign_host
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
from snapproxy.web.access_log import WriteEntry
from snapproxy.web.pages import Pages
from snapproxy.web.protocol import REQUEST_ID, ClientRequest, Ending, Limits
from snapproxy.web.replies import (
    STRANGER,
    ReplyHead,
    failure,
    file_reply,
    moved_reply,
    passed_reply,
    plain,
    refusal_reply,
    render,
    validators,
)
from snapproxy.web.request_checks import refuse_head
from snapproxy.web.response_writer import ResponseWriter
from snapproxy.web.tunnel import Tunnels

ReadAddress = Callable[[str, str, str, str], Target | Refusal]
"""(method, raw target, Host, Proxy-Authorization) -> target. It is `core.address.read` with its address book."""

NoteServed = Callable[[str, Instant], None]
"""Note that the stored file with a digest is served at a time: the files served last are removed last."""

MAX_ADDRESSES = 1024
"""Maximum number of parsed addresses in the cache."""

MAX_REMEMBERED = 1024
"""Maximum length of a cached address, to limit memory use by hostile clients."""

_log = logging.getLogger(__name__)

_remembered_token = functools.lru_cache(maxsize=MAX_ADDRESSES)(sent_token)

_FIRST_BYTE_S = 5.0
"""Seconds that the head of a running download is delayed until its first bytes: until then a failure can still be
reported as a status.
"""


class Gateway:
    """Answers the requests of every connection.

    `admits` returns whether the client at an address may request anything, `gate` decides by its token. `instance`
    names this proxy in Via, for the detection of loops. `log` writes the access log. `now` returns the time, for Date
    and `note_served`. `running` is the number of requests that are being answered.
    """

    def __init__(
        self,
        answerer: Answerer,
        read_address: ReadAddress,
        *,
        pages: Pages,
        by_digest: BlobAnswerer,
        forwarder: Forwarder,
        tunnels: Tunnels,
        traffic: TrafficCounter,
        admits: Callable[[str], bool],
        gate: Gate,
        instance: str,
        now: Callable[[], Instant],
        note_served: NoteServed,
        limits: Limits,
        log: WriteEntry = access_log.write,
    ) -> None:
        self._log = log
        self._answerer = answerer
        self._read_address = read_address
        self._remembered_address = functools.lru_cache(maxsize=MAX_ADDRESSES)(read_address)
        self._pages = pages
        self._by_digest = by_digest
        self._forwarder = forwarder
        self._tunnels = tunnels
        self._traffic = traffic
        self._admits = admits
        self._gate = gate
        self._instance = instance
        self._now = now
        self._note_served = note_served
        self._limits = limits
        self.running = 0
        self._has_ended = asyncio.Event()
        self.is_closing = False

    async def handle(self, request: ClientRequest) -> Ending:
        """Answer `request`, even after an error, and log one line. Raises only CancelledError (client disconnected)."""
        now = self._now()
        wire = ResponseWriter(request, common=_common(self._instance, now, request), closing=self.is_closing)
        entry = access_log.AccessEntry(request.connection.peer, request.method, request.target, time=now)
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.running += 1
        try:
            await self._answer(request, wire, entry)
        except asyncio.CancelledError:
            wire.outcome = "left"
            raise
        except Exception as error:  # noqa: BLE001
            # After any error the client must get a status or an aborted connection.
            await self._fail(wire, error)
        finally:
            self.running -= 1
            self._has_ended.set()
            self._log(wire.ended(entry, loop.time() - began))
        return Ending(request.connection, keep_alive=wire.keeps_alive)

    async def ended(self) -> None:
        """Wait until no request is running. A gateway that was replaced gets no further one."""
        while self.running:
            self._has_ended.clear()
            await self._has_ended.wait()

    async def _fail(self, wire: ResponseWriter, error: Exception) -> None:
        """Report a failure to the client: by a status if nothing has been sent, otherwise by an abort."""
        if wire.status == 0:
            if not isinstance(error, SnapproxyError):
                _log.error("A request failed with an internal error", exc_info=error)
            try:
                await wire.send(self._refuse(wire.request, failure(error, None), closes=True))
            except (ConnectionError, TimeoutError):
                wire.cut("left")
        elif isinstance(error, ConnectionError):
            wire.cut("left")
        elif isinstance(error, TimeoutError):
            wire.cut("stalled")
        else:
            wire.cut("cut")
            _log.warning("An answer was aborted: %s: %s", type(error).__name__, plain(str(error)))

    def prepare(self, request: ClientRequest, *, runs_next: bool) -> bool:
        """Start the download for a request that waits in a pipeline, unless its head will be refused."""
        if self._refuse_unread(request, request.connection.peer) is not None:
            return False
        if request.method == "GET" and not runs_next:
            target = _permitted(self._gate, request, self._read(request))
            if isinstance(target, FileTarget | ServiceTarget):
                prefetch = self._answerer.prefetch(target, Conditions(client=request.connection))
                if prefetch is not None:
                    request.connection.add_prefetch(prefetch)
        return request.keep_alive

    def malformed(self, peer: str, error: Exception) -> bytes:
        """Return the answer to invalid HTTP, and log the request without its bytes."""
        refusal, now = _parse_failure(error, self._limits), self._now()
        self._traffic.refused(refusal.status)
        reply = refusal_reply(refusal, closes=True)
        self._log(access_log.AccessEntry(peer, "-", "-", reply.status, len(reply.text), reason=reply.reason, time=now))
        return _whole(reply, _common(self._instance, now))

    def _read(self, request: ClientRequest) -> Target | Refusal:
        """Parse the address. Short ones are cached.

        The result depends only on these strings and the configuration.
        """
        host, credentials = request.headers.get("Host", ""), request.headers.get("Proxy-Authorization", "")
        is_short = len(request.target) + len(host) + len(credentials) <= MAX_REMEMBERED
        read = self._remembered_address if is_short else self._read_address
        return read(request.method, request.target, host, credentials)

    def _refuse_unread(self, request: ClientRequest, peer: str) -> Refusal | None:
        """Return a refusal that does not depend on the address of the request, None if its address may be read."""
        return refuse_head(request, self._instance) or (None if self._admits(peer) else STRANGER)

    async def _answer(self, request: ClientRequest, wire: ResponseWriter, entry: access_log.AccessEntry) -> None:
        refused = self._refuse_unread(request, entry.peer)
        if refused is not None:
            await wire.send(self._refuse(request, refused, closes=True))
            return
        target = _permitted(self._gate, request, self._read(request), entry)
        match target:
            case Refusal():
                await wire.send(self._refuse(request, target))
            case PassTarget() | TunnelTarget():
                await self._pass_through(request, wire, target)
            case _ if request.method not in {"GET", "HEAD"}:
                headers = {"Allow": "GET, HEAD"}
                await wire.send(self._refuse(request, Refusal(405, "Only GET and HEAD are supported", headers=headers)))
            case PageTarget():
                scheme = request.connection.scheme
                page = await self._pages.answer(target.path, request.headers.get("Host", ""), scheme)
                await wire.send(page if isinstance(page, ReplyHead) else self._refuse(request, page))
            case ScriptTarget():
                scheme = request.connection.scheme
                await wire.send(self._pages.script(target, request.headers.get("Host", ""), scheme))
            case FileTarget() | ServiceTarget():
                await self._answer_file(request, wire, target, entry)
            case BlobTarget():
                blob = await self._by_digest.answer(target)
                if isinstance(blob, Refusal):
                    await wire.send(self._refuse(request, blob))
                else:
                    await self._send(request, wire, "", blob, entry)
            case _:
                assert_never(target)

    def _refuse(
        self, request: ClientRequest, refusal: Refusal, *, archive: str = "", closes: bool = False
    ) -> ReplyHead:
        """Count a refusal and return its answer; it closes the connection if the client may have sent more than a head.

        The bytes after a refused CONNECT may be meant for the tunnel, and those after the head of a request with a body
        are the body.
        """
        is_tunnel, host = request.method == "CONNECT", _foreign(request, refusal)
        if self._traffic.refused(refusal.status, host, archive) and is_tunnel:
            _log.warning("Requests to %s are refused. %s", host, refusal.reason)
        reply = refusal_reply(refusal, closes=closes or is_tunnel or request.has_body)
        return replace(reply, fields=(*reply.fields, (REQUEST_ID, request.id)))

    async def _answer_file(
        self,
        request: ClientRequest,
        wire: ResponseWriter,
        target: FileTarget | ServiceTarget,
        entry: access_log.AccessEntry,
    ) -> None:
        entry.archive, entry.path = target.archive.name, target.path
        date = request.headers.get("If-Modified-Since")
        since = read_http_date(date) if date else None
        via = ", ".join(request.headers.getall("Via", ()))
        outcome = await self._answerer.answer(target, Conditions(since=since, via=via, client=request.connection))
        match outcome:
            case Refusal():
                await wire.send(self._refuse(request, outcome, archive=target.archive.name))
            case Moved():
                await wire.send(moved_reply(outcome, target.archive.name))
            case Served():
                self._traffic.served(outcome)
                await self._send(request, wire, target.path, outcome, entry)
            case _:
                assert_never(outcome)

    async def _send(
        self, request: ClientRequest, wire: ResponseWriter, path: str, served: Served, entry: access_log.AccessEntry
    ) -> None:
        entry.cache, entry.proof = served.cache, served.proof.word
        if served.digest:
            self._note_served(served.digest, self._now())
        if served.archive:
            entry.snapshot = f"{served.archive}/{served.snapshot}"
        try:
            await self._serve(request, wire, path, served)
        finally:
            served.body.close()
            self._traffic.sent(served, wire.sent)

    async def _serve(self, request: ClientRequest, wire: ResponseWriter, path: str, served: Served) -> None:
        verdict = decide(_conditions(request), validators(served), served.body.size)
        if isinstance(verdict, WholeFile) and request.method == "GET":
            if not served.digest and (broken := await _early_failure(served)) is not None:
                await wire.send(self._refuse(request, broken, archive=served.archive))
                return
            reply = file_reply(served, path, verdict)  # built now: its size may be known by now
            span = None if reply.length is None else ByteRange(0, reply.length)
            await bodies.send(wire, reply, served.body, span)
        elif isinstance(verdict, ByteRange):
            await bodies.send(wire, file_reply(served, path, verdict), served.body, verdict)
        else:
            await wire.send(file_reply(served, path, verdict))

    async def _pass_through(
        self, request: ClientRequest, wire: ResponseWriter, target: PassTarget | TunnelTarget
    ) -> None:
        """Forward a request to its pass-through host, unless a capture cannot record that."""
        refusal = await self._answerer.passing(target)
        if refusal is None and isinstance(target, PassTarget):
            refusal = await _forward(self._forwarder, request, wire, target)
        elif refusal is None and isinstance(target, TunnelTarget):
            refusal = await self._tunnels.carry(target, wire)
        if refusal is not None:
            await wire.send(self._refuse(request, refusal))


def _permitted(
    gate: Gate, request: ClientRequest, target: Target | Refusal, entry: access_log.AccessEntry | None = None
) -> Target | Refusal:
    """Return the target if the client's token permits it, otherwise a refusal. Pages and scripts need no token."""
    sent = request.headers.get("Authorization", ""), request.headers.get("Proxy-Authorization", "")
    is_open = isinstance(target, Refusal | PageTarget | ScriptTarget)
    read = _remembered_token if len(sent[0]) + len(sent[1]) <= MAX_REMEMBERED else sent_token
    if is_open or not (gate.demands_tokens or read(*sent)):
        return target
    is_proxied = request.method == "CONNECT" or not request.target.startswith("/")
    permission = gate.decide(*sent, RequestNeed(getattr(target, "capture", "")), is_proxied=is_proxied)
    if entry is not None:
        entry.token = permission.token_id
    return permission.refusal or target


def _common(instance: str, now: Instant, request: ClientRequest | None = None) -> tuple[tuple[str, str], ...]:
    """Return the fields of every answer. A client that named its request finds that name in the answer."""
    fields = (("Date", write_http_date(now)), ("Server", "snapproxy"), ("Via", f"1.1 {instance}"))
    return fields if request is None or REQUEST_ID not in request.headers else (*fields, (REQUEST_ID, request.id))


def _foreign(request: ClientRequest, refusal: Refusal) -> str:
    """Return the host that a refused request tried to reach past the archives, '' if none."""
    return foreign_host(request.method, request.target) if refusal.is_foreign else ""


def _whole(reply: ReplyHead, common: tuple[tuple[str, str], ...]) -> bytes:
    """Return an answer that closes its connection."""
    framing = (("Content-Length", str(reply.length)), ("Connection", "close"))
    return render(reply.status, reply.reason, (*reply.fields, *common, *framing)) + reply.text


async def _forward(
    forwarder: Forwarder, request: ClientRequest, wire: ResponseWriter, target: PassTarget
) -> Refusal | None:
    """Forward a request and its answer, or return a refusal. Both bodies are streamed; nothing is stored."""
    if request.has_body and request.headers.get("Expect", "").lower() == "100-continue":
        wire.put(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = request.body() if request.has_body else None
    headers = list(request.headers.items())
    if sent_token(request.headers.get("Authorization", ""), ""):  # for this proxy; other credentials are for the host
        headers = [(name, value) for name, value in headers if name.lower() != "authorization"]
    passed = await forwarder.forward(target, request.method, headers, body)
    if isinstance(passed, Refusal):
        return passed
    try:
        wire.begin(passed_reply(passed))
        if wire.wants_body:
            await wire.copy(passed.chunks())
            await wire.finish()
    finally:
        passed.close()
    return None


def _parse_failure(error: Exception, limits: Limits) -> Refusal:
    """Return the refusal of a head that the parser could not read."""
    if not isinstance(error, LineTooLong):
        hint = "Use http://, not https://, for this port; the setting [tls] is for a port with TLS."
        return Refusal(400, "The request is not valid HTTP", hint=hint)
    if error.args[1] == limits.line:
        return Refusal(414, "The address is too long", why=f"The limit is {limits.line} bytes.")
    return Refusal(431, "A header field is too long", why=f"The limit is {limits.field} bytes.")


def _conditions(request: ClientRequest) -> ConditionalHeaders:
    headers = request.headers
    return ConditionalHeaders(
        method=request.method,
        if_none_match=", ".join(headers.getall("If-None-Match", ())),
        if_modified_since=headers.get("If-Modified-Since", ""),
        if_range=headers.get("If-Range", ""),
        range=", ".join(headers.getall("Range", ())),
    )


async def _early_failure(served: Served) -> Refusal | None:
    """Wait at most `_FIRST_BYTE_S` for the first bytes of a running download; return a refusal if it fails before."""
    waited = asyncio.timeout(_FIRST_BYTE_S)
    try:
        async with waited:
            await served.body.wait(0)
    except Exception as error:  # noqa: BLE001 # bodies raise various errors; a status can still report them
        return None if waited.expired() else failure(error, served.role)
    return None
