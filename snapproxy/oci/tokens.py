"""Authorization for a repository: Basic, or a Bearer token from the registry's token service.

See the "Token Authentication" specification of distribution. Authorization is sent only after the registry has
requested it. Tokens are cached by scope while they are valid; all requests share them.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from yarl import URL

from snapproxy.core.clock import Clock
from snapproxy.errors import UpstreamError
from snapproxy.formats.strict_json import read_object
from snapproxy.oci.credentials import Keychain, Login
from snapproxy.oci.places import Reference
from snapproxy.oci.registry_http import RegistryConnections, RegistryReply, RegistryRequest

_LEAST_SECONDS = 60
"""Validity in seconds of a token without `expires_in`, which is the minimum that the specification allows."""

_USED_FOR = 0.9
"""The fraction of a token's validity after which a new one is requested."""

_CLIENT_ID = "snapproxy"
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)\s+(?=[A-Za-z_]+\s*=)")
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_NO_SUCH_METHOD = frozenset({404, 405})
_OK = 200


class DeniedError(UpstreamError):
    """The registry requires a login, or another login."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge of a 401: `scheme` in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Parse WWW-Authenticate headers; each may contain several challenges (RFC 9110, section 11.6.1)."""
    found = []
    for text in headers:
        starts = [*_SCHEME.finditer(text)]
        for number, start in enumerate(starts):
            end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
            pairs = _PARAMETER.findall(text[start.end() : end])
            values = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in pairs}
            found.append(Challenge(start[1].lower(), values))
    return found


class Tokens:
    """The authorizations for one repository's requests."""

    def __init__(
        self, connections: RegistryConnections, reference: Reference, keychain: Keychain, clock: Clock
    ) -> None:
        self._connections = connections
        self._reference = reference
        self._keychain = keychain
        self._clock = clock
        self._challenge: Challenge | None = None
        self._authorizations: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = asyncio.Lock()

    async def header(self, scopes: tuple[str, ...]) -> str:
        """Return the Authorization header to send, '' until the registry has requested one."""
        if self._challenge is None:
            return ""
        return self._current(scopes) or await self._renew(scopes, "")

    async def answer(self, headers: Sequence[str], scopes: tuple[str, ...], refused: str) -> None:
        """Obtain the authorization that a 401 requests.

        `headers`: its WWW-Authenticate headers. `refused`: the Authorization header that it refused, or ''. Raises
        DeniedError if no login is known, the login is refused, or the scheme is not supported.
        """
        known = [each for each in read_challenges(headers) if each.scheme in {"bearer", "basic"}]
        if not known:
            raise self.denied("it requests a kind of login that is not supported")
        # If a registry offers both, use the tokens: they are short-lived and restricted to one scope.
        self._challenge = min(known, key=lambda each: each.scheme != "bearer")
        await self._renew(scopes, refused)

    def denied(self, why: str) -> DeniedError:
        """Return the error for a registry that refuses access. `why` is a clause without a full stop."""
        return DeniedError(
            "The registry requires a login, or another login",
            why=f"{self._reference.registry}/{self._reference.repository}: {why}.",
            hint=f"Log in with: skopeo login {self._reference.registry}",
        )

    def _current(self, scopes: tuple[str, ...]) -> str:
        header, until = self._authorizations.get(scopes, ("", 0.0))
        return header if self._clock.monotonic() < until else ""

    async def _renew(self, scopes: tuple[str, ...], refused: str) -> str:
        """Return an authorization other than the refused one. Of concurrent callers, only the first one requests it."""
        async with self._lock:
            current = self._current(scopes)
            if current and current != refused:
                return current
            login = await self._keychain.find(self._reference.registry, self._reference.repository)
            challenge = self._challenge
            if challenge is not None and challenge.scheme == "bearer":
                token, seconds = await self._token(challenge, scopes, login)
                authorization = f"Bearer {token}", self._clock.monotonic() + seconds * _USED_FOR
            else:
                authorization = self._basic(login, refused), float("inf")
            self._authorizations[scopes] = authorization
            return authorization[0]

    def _basic(self, login: Login | None, refused: str) -> str:
        if login is None or not login.user:
            raise self.denied("no login was found for it")
        header = basic(login.user, login.password)
        if header == refused:
            raise self.denied(f"it refuses the login of {login.user!r}")
        return header

    async def _token(self, challenge: Challenge, scopes: tuple[str, ...], login: Login | None) -> tuple[str, int]:
        """Return a token and its validity in seconds."""
        realm = await self._realm(challenge)
        service = challenge.parameters.get("service", "")
        if login and login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT_ID,
                "scope": " ".join(scopes),
                "refresh_token": login.identity_token,
            }
            async with self._connections.ask(_form(realm, form)) as reply:
                if reply.status not in _NO_SUCH_METHOD:
                    return await self._read(reply)
            authorization = basic("<token>", login.identity_token)
        else:
            authorization = basic(login.user, login.password) if login else ""
        query = [*realm.query.items(), *([("service", service)] if service else []), *(("scope", s) for s in scopes)]
        ask = RegistryRequest("GET", realm.with_query(query), authorization=authorization, audience=realm)
        async with self._connections.ask(ask) as reply:
            return await self._read(reply)

    async def _realm(self, challenge: Challenge) -> URL:
        """Return the address of the token service.

        The login is sent there, so not over http if the registry uses https.
        """
        try:
            realm = URL(challenge.parameters.get("realm", ""))
        except ValueError:
            realm = URL()
        base = await self._connections.base()
        if not realm.host or realm.user or realm.scheme not in {base.scheme, "https"}:
            raise self.denied("a login is not sent to the address of its token service")
        return realm

    async def _read(self, reply: RegistryReply) -> tuple[str, int]:
        if reply.status != _OK:
            raise self.denied(f"its token service {reply.url.host} answered {reply.status}")
        value = read_object(await reply.read(), "The token service's answer")
        token, seconds = value.get("token") or value.get("access_token"), value.get("expires_in")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise self.denied(f"its token service {reply.url.host} returned no valid token")
        return token, max(_LEAST_SECONDS, seconds if isinstance(seconds, int) else 0)


def basic(user: str, password: str) -> str:
    """Return the Authorization header for Basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _form(url: URL, fields: Mapping[str, str]) -> RegistryRequest:
    data = urlencode(fields).encode()

    async def body() -> AsyncIterator[bytes]:
        yield data

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    # The request has an audience, because the body contains the login.
    return RegistryRequest("POST", url, headers, audience=url, body=body, length=len(data))
