"""The second listener: pages for the operators of this proxy. No archive is served there.

A `PageAnswerer` answers; this module reads the request and writes the answer. Only GET and HEAD exist, so no page
changes anything, and a Host header that is not an address of this machine is refused: otherwise a web page of a
stranger could read these pages in the browser of an operator (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import parse_qsl

from snapproxy.core.exchange import Page, PageAnswerer, PageRequest
from snapproxy.core.http_date import write_http_date
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.paths import canonical_path
from snapproxy.core.routes import read_authority
from snapproxy.errors import ClientError, SnapproxyError
from snapproxy.web import access_log
from snapproxy.web.access_log import WriteEntry
from snapproxy.web.protocol import REQUEST_ID, ClientRequest, Ending, Limits, Listener
from snapproxy.web.replies import ReplyHead, refusal_reply, render
from snapproxy.web.request_checks import refuse_head
from snapproxy.web.response_writer import ResponseWriter

RefuseClient = Callable[[str, str], Refusal | None]

LIMITS = Limits(connections=100, all_connections=200)
"""The limits of this listener: the descriptors are for the clients of the proxy."""

_MOST_FIELDS = 32
"""Maximum number of fields of a query."""

_CLEAN_UP_S = 1.0
"""Seconds that handlers of aborted connections may take to clean up."""

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FIELDS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)

_log = logging.getLogger(__name__)


class AdminGateway:
    """Answers the requests for pages (`protocol.Handler`).

    `hosts` are names of this machine beside its addresses. `refuse` returns a refusal of the client with an address and
    an Authorization header, None if it may read the pages.
    """

    def __init__(
        self,
        pages: PageAnswerer,
        *,
        hosts: Iterable[str],
        refuse: RefuseClient,
        instance: str,
        now: Callable[[], Instant],
        log: WriteEntry = access_log.write,
    ) -> None:
        self._log = log
        self._pages = pages
        self._hosts = frozenset({"localhost", *hosts})
        self._refuse_client = refuse
        self._instance = instance
        self._now = now
        self.is_closing = False

    async def handle(self, request: ClientRequest) -> Ending:
        """Answer `request`, even after an error, and log one line. Raises only CancelledError (client disconnected)."""
        wire = ResponseWriter(request, common=self._common(), closing=self.is_closing)
        entry = access_log.AccessEntry(request.connection.peer, request.method, request.target, time=self._now())
        began = asyncio.get_running_loop().time()
        try:
            reply = await self._reply(request)
            await wire.send(replace(reply, fields=(*reply.fields, (REQUEST_ID, request.id))))
        except (ConnectionError, TimeoutError):
            wire.cut("left")
        finally:
            self._log(wire.ended(entry, asyncio.get_running_loop().time() - began))
        return Ending(request.connection, keep_alive=wire.keeps_alive)

    def prepare(self, request: ClientRequest, *, runs_next: bool) -> bool:  # noqa: ARG002 # nothing is downloaded
        """Return whether the connection stays open after the request."""
        return request.keep_alive

    def malformed(self, peer: str, error: Exception) -> bytes:  # noqa: ARG002 # the error has bytes of the client
        """Return the answer to invalid HTTP, and log the request without its bytes."""
        reply = refusal_reply(Refusal(400, "The request is not valid HTTP"), closes=True)
        entry = access_log.AccessEntry(peer, "-", "-", reply.status, len(reply.text), reason=reply.reason)
        entry.time = self._now()
        self._log(entry)
        framing = (("Content-Length", str(reply.length)), ("Connection", "close"))
        return render(reply.status, reply.reason, (*reply.fields, *self._common(), *framing)) + reply.text

    def _common(self) -> tuple[tuple[str, str], ...]:
        return (("Date", write_http_date(self._now())), ("Server", "snapproxy"))

    async def _reply(self, request: ClientRequest) -> ReplyHead:
        refused = refuse_head(request, self._instance) or self._refuse(request)
        if refused is not None:
            return refusal_reply(refused, closes=True)
        try:
            outcome = await self._pages.answer(page_request(request))
        except SnapproxyError as error:
            return refusal_reply(Refusal(error.status, error.reason, error.why, error.hint))
        except Exception as error:  # noqa: BLE001 # after any error the client must get a status
            _log.error("A page failed with an internal error", exc_info=error)
            return refusal_reply(Refusal(500, "Internal error in snapproxy", hint="The log has details."), closes=True)
        return refusal_reply(outcome) if isinstance(outcome, Refusal) else _page_reply(outcome)

    def _refuse(self, request: ClientRequest) -> Refusal | None:
        """Return a refusal of a stranger, of a method that would change something, or of a foreign name of the host."""
        stranger = self._refuse_client(request.connection.peer, request.headers.get("Authorization", ""))
        if stranger is not None:
            return stranger
        if request.method not in {"GET", "HEAD"}:
            return Refusal(405, "Only GET and HEAD are supported", headers={"Allow": "GET, HEAD"})
        hosts = request.headers.getall("Host", ())
        if len(hosts) == 1 and self._is_own(hosts[0]):
            return None
        return Refusal(
            421,
            "The Host header names another machine",
            why="These pages answer to the addresses and the name of this machine, and to localhost.",
            hint="Open them by address. A reverse proxy in front of them must send `Host: localhost`.",
        )

    def _is_own(self, host: str) -> bool:
        try:
            name, _ = read_authority(host)
        except ClientError:
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in self._hosts
        return True


def page_request(request: ClientRequest) -> PageRequest:
    """Return the page that a request names. Raises ClientError for an address that no page has."""
    path, _, query = request.target.partition("?")
    if not path.startswith("/") or "#" in request.target:
        raise ClientError("the request target is not a path", hint="Request / for the first page.")
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise ClientError("the query of the address cannot be read") from None
    accept = ", ".join(request.headers.getall("Accept", ()))
    return PageRequest(f"/{canonical_path(path)}", dict(fields), accept)


def _page_reply(page: Page) -> ReplyHead:
    fields = (("Content-Type", page.media_type), *page.headers.items())
    named = {name.lower() for name, _ in fields}
    own = tuple(field for field in _FIELDS if field[0].lower() not in named)
    return ReplyHead(page.status, "OK" if page.status == 200 else "", (*fields, *own), len(page.body), page.body)  # noqa: PLR2004 # RFC 9110


class AdminServer:
    """Serves pages on any number of listening sockets in the running event loop."""

    def __init__(
        self,
        pages: PageAnswerer,
        *,
        refuse: RefuseClient,
        instance: str,
        now: Callable[[], Instant],
        limits: Limits | None = None,
        log: WriteEntry = access_log.write,
    ) -> None:
        name = socket.gethostname().lower()
        self._limits = limits or LIMITS
        self._gateway = AdminGateway(
            pages, hosts={name, name.partition(".")[0]}, refuse=refuse, instance=instance, now=now, log=log
        )
        self._listener: Listener | None = None
        self._servers: list[asyncio.Server] = []

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Start to serve on `sockets`, which are bound; the server closes them."""
        self._listener = Listener(self._gateway, self._limits)
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._listener, sock=sock))

    async def close(self) -> None:
        """Stop listening and abort running answers: a page is requested again."""
        self._gateway.is_closing = True
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._listener is not None:
            self._listener.cut()
            await self._listener.shutdown(_CLEAN_UP_S)
