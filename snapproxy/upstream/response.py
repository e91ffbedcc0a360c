"""The response to one upstream request: its classified head, and its body in pieces. `upstream.client` creates it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from snapproxy.core.upstream_answer import BodyFollows, Broken, Fault, Offer, StartOver, UpstreamAnswer
from snapproxy.errors import UpstreamError
from snapproxy.upstream.faults import FOREIGN_ERRORS, fault_of
from snapproxy.upstream.rate_limit import Permit

UNAUTHORIZED = 401

PIECE = 256 << 10
"""Maximum bytes of a piece: the store hashes and writes pieces of this size."""


class BodyBrokenError(UpstreamError):
    """The body does not end as its head announced. Except for TOO_LONG, the bytes received so far are usable."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class UpstreamResponse:
    """The response to one request. Valid within the `async with` that returned it.

    `answer` is the classified head, `url` the address that sent it, `hops` the addresses that redirected there,
    `challenges` the WWW-Authenticate headers of a 401, `unused` the beginning of the body of an answer without a usable
    body, such as a 404.
    """

    def __init__(
        self,
        answer: UpstreamAnswer,
        url: str,
        *,
        raw: aiohttp.ClientResponse | None = None,
        permit: Permit | None = None,
    ) -> None:
        self.answer = answer
        self.url = url
        self.hops: tuple[str, ...] = ()
        self.unused = b""
        is_challenge = raw is not None and raw.status == UNAUTHORIZED
        self.challenges = tuple(raw.headers.getall("WWW-Authenticate", ())) if raw and is_challenge else ()
        self._raw = raw
        self._permit = permit

    def __repr__(self) -> str:
        return f"<UpstreamResponse {self.answer} from {self.url} after {len(self.hops)} hops>"

    @property
    def offer(self) -> Offer | None:
        """The description of the body; None if the answer has no usable body."""
        return self.answer.offer if isinstance(self.answer, BodyFollows | StartOver) else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces of up to PIECE bytes as they arrive. Raise BodyBrokenError unless it is complete."""
        offer, raw = self.offer, self._raw
        if offer is None or raw is None or raw.method == "HEAD":
            return
        got = 0
        while piece := await self._next_piece(raw):
            got += len(piece)
            if offer.length is not None and got > offer.length:
                await self._fail(Fault.TOO_LONG)
            yield piece
        if offer.length is not None and got < offer.length:
            await self._fail(Fault.TRUNCATED)

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raise BodyBrokenError if it breaks, or exceeds `limit` bytes (TOO_LONG)."""
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise BodyBrokenError(Fault.TOO_LONG)
        return bytes(body)

    async def _next_piece(self, raw: aiohttp.ClientResponse) -> bytes:
        try:
            return await raw.content.read(PIECE)
        except FOREIGN_ERRORS as error:
            return await self._fail(fault_of(error), error)

    async def _fail(self, fault: Fault, error: Exception | None = None) -> bytes:
        broken = Broken(fault)
        if self._permit and broken.is_worth_retrying:
            await self._permit.broken(broken)
        raise BodyBrokenError(fault) from error
