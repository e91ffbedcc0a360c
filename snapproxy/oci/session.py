"""Requests to one repository of a registry: addresses, authorization, and errors for unexpected answers.

The caller handles the statuses that it expects; `Session.refusal` returns the error for any other.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from yarl import URL

from snapproxy.core.clock import Clock
from snapproxy.errors import ArchiveDataError, UpstreamError
from snapproxy.oci.credentials import Keychain
from snapproxy.oci.places import Reference
from snapproxy.oci.registry_http import ATTEMPTS, Body, RegistryConnections, RegistryReply, RegistryRequest
from snapproxy.oci.tokens import Tokens

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
_TOO_LONG = 413


class RegistryRefusedError(UpstreamError):
    """The registry refused a request. `answered` is the status of its answer."""

    def __init__(self, reason: str, *, why: str = "", hint: str = "", answered: int = 0) -> None:
        super().__init__(reason, why=why, hint=hint)
        self.answered = answered


class Session:
    """Requests to one repository, with its login."""

    def __init__(
        self, reference: Reference, connections: RegistryConnections, keychain: Keychain, clock: Clock
    ) -> None:
        self.reference = reference
        self.connections = connections
        self.clock = clock
        self._tokens = Tokens(connections, reference, keychain, clock)

    async def url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        """Return the address of `path` in the repository, such as `blobs/sha256:...`."""
        base = await self.connections.base()
        return URL(f"{base}{self.reference.repository}/{path}", encoded=True).with_query(query)

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        url: URL,
        *,
        writes: bool = False,
        also: str = "",
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        length: int = 0,
        attempts: int = ATTEMPTS,
    ) -> AsyncIterator[RegistryReply]:
        """Make a request. `writes`, and `also` (another repository to read), extend the authorization that it needs.

        Raises the errors of `RegistryConnections.ask`, and DeniedError.
        """
        scopes = self._scopes(writes=writes, also=also)
        plain = RegistryRequest(method, url, headers or {}, body=body, length=length)
        authorization = await self._tokens.header(scopes)
        async with self.connections.ask(replace(plain, authorization=authorization), attempts=attempts) as reply:
            if reply.status != UNAUTHORIZED or not self.connections.is_own(reply.url):
                yield reply
                return
            challenges = reply.headers.getall("WWW-Authenticate", ())
        await self._tokens.answer(challenges, scopes, authorization)
        authorization = await self._tokens.header(scopes)
        async with self.connections.ask(replace(plain, authorization=authorization), attempts=attempts) as reply:
            yield reply

    async def refusal(self, reply: RegistryReply, action: str) -> UpstreamError:
        """Return the error for an unexpected answer. `action` completes the sentence "The registry refused"."""
        text = await _error_text(reply)
        if reply.status in {UNAUTHORIZED, FORBIDDEN}:
            return self._tokens.denied(f"it answered {reply.status}{text}")
        hint = (
            "Split the layers of the manifest over several manifests under an index."
            if reply.status == _TOO_LONG
            else ""
        )
        why = f"{self.reference.registry}/{self.reference.repository} answered {reply.status}{text}."
        return RegistryRefusedError(f"The registry refused {action}", why=why, hint=hint, answered=reply.status)

    def _scopes(self, *, writes: bool, also: str) -> tuple[str, ...]:
        actions = "pull,push" if writes else "pull"
        own = f"repository:{self.reference.repository}:{actions}"
        return (own, f"repository:{also}:pull") if also else (own,)


async def _error_text(reply: RegistryReply) -> str:
    """Return the registry's error message (distribution-spec, "Error Codes") in printable ASCII, '' without one."""
    try:
        errors = json.loads(await reply.read())["errors"]
        words = "; ".join(f"{each['code']}: {each.get('message', '')}" for each in errors)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ArchiveDataError, UpstreamError):
        return ""
    return f" ({ascii(words[:200])[1:-1]})"
