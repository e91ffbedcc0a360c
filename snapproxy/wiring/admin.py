"""The pages of the admin listener: which part of the service answers which address."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from snapproxy.core.exchange import Page, PageAnswerer, PageRequest
from snapproxy.core.model import Refusal
from snapproxy_storage import StorageFailure

_TEXT = "text/plain; charset=utf-8"

_log = logging.getLogger(__name__)


class ObservedService(Protocol):
    """The service that the pages describe. It may be replaced while they are served."""

    def stats(self) -> Mapping[str, Any]: ...

    async def health(self) -> str: ...

    async def ready(self) -> str: ...


class AdminPages:
    """Answers every request of the admin listener (`core.exchange.PageAnswerer`).

    `observed` returns the current service. `parts` answer the addresses below their first segment; the part `''` has
    all others.
    """

    def __init__(self, observed: Callable[[], ObservedService], parts: Mapping[str, PageAnswerer]) -> None:
        self._observed = observed
        self._parts = parts

    async def answer(self, request: PageRequest) -> Page | Refusal:
        """Return the page, a 404, or a 503 if the store cannot be read."""
        try:
            return await self._answer(request)
        except StorageFailure as failure:
            _log.warning("%s cannot be answered: %s", request.path, failure)
            return Refusal(503, "The store cannot be read", why=str(failure))

    async def _answer(self, request: PageRequest) -> Page | Refusal:
        first = request.path.split("/")[1]
        match request.path:
            case "/healthz":
                return _probe(request, await self._observed().health())
            case "/readyz":
                return _probe(request, await self._observed().ready())
            case "/stats":
                text = json.dumps(self._observed().stats(), indent=2, sort_keys=True) + "\n"
                return Page("application/json", text.encode())
        part = self._parts.get(first) or self._parts.get("")
        return await part.answer(request) if part else Refusal(404, "No such page")


def _probe(request: PageRequest, fault: str) -> Page:
    """Return the answer to a probe: a line of text, or JSON with the reasons."""
    status = 503 if fault else 200
    if request.wants_json:
        answer = {"ok": not fault, "reasons": [fault] if fault else []}
        return Page("application/json", f"{json.dumps(answer)}\n".encode(), status)
    return Page(_TEXT, f"{fault or 'ok'}\n".encode(), status)
