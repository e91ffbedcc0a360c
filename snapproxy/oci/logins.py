"""Logins for the registries among an archive's `sources`, for downloads of files by digest (implements `core.logins`).

A source is optional and must not delay a build: the time for a login is bounded, and a registry that refuses the login
gets no request for a while; one line in the log states what to do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from snapproxy.core.blob_sources import BlobSource
from snapproxy.core.clock import Clock
from snapproxy.errors import SnapproxyError
from snapproxy.oci.credentials import Keychain
from snapproxy.oci.places import Reference
from snapproxy.oci.registry_http import RegistryConnections
from snapproxy.oci.tokens import Tokens

LOGIN_SECONDS = 3.0
"""Maximum seconds for a token service or a credential helper; after that the file is downloaded from another source."""

SHUT_SECONDS = 60.0
"""Seconds without requests to a registry that refused the login: few, so that a new login takes effect soon."""

_log = logging.getLogger(__name__)


class _RepositoryLogin:
    """The login to one repository, and until when (monotonic seconds) it is disabled."""

    def __init__(self, blob_source: BlobSource, tokens: Tokens, scope: str) -> None:
        self.blob_source = blob_source
        self.tokens = tokens
        self.scopes = (scope,)
        self.disabled_until = 0.0


class RegistryLogins:
    """Implements `core.logins.Logins` for the registries among `blob_sources`. Use as an async context manager.

    `environ` defines where the credentials are; see `credentials.Keychain`.
    """

    def __init__(self, blob_sources: Iterable[BlobSource], *, environ: Mapping[str, str], clock: Clock) -> None:
        self._registries = [blob_source for blob_source in blob_sources if blob_source.registry]
        self._keychain = Keychain(environ, clock=clock)
        self._clock = clock
        self._logins: dict[str, _RepositoryLogin] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for blob_source in self._registries:
            scheme, _, host = blob_source.origin.partition("://")
            connections = await self._stack.enter_async_context(
                RegistryConnections(host, clock=self._clock, plain_http=scheme == "http")
            )
            tokens = Tokens(
                connections, Reference(blob_source.registry, blob_source.repository), self._keychain, self._clock
            )
            self._logins[blob_source.base] = _RepositoryLogin(
                blob_source, tokens, f"repository:{blob_source.repository}:pull"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def header(self, url: str) -> str | None:
        """Return the Authorization header to send; see `core.logins`."""
        login = self._find(url)
        if login is None:
            return ""
        return None if self._clock.monotonic() < login.disabled_until else await self._current(login)

    async def answer(self, url: str, challenges: Sequence[str], refused: str) -> str | None:
        """Return the Authorization header that answers a 401; see `core.logins`."""
        login = self._find(url)
        return None if login is None else await self._current(login, (challenges, refused))

    def shut(self, url: str) -> None:
        """Disable a login that the registry refused; see `core.logins`."""
        if login := self._find(url):
            self._disable(login, login.tokens.denied("it refuses the authorization that it requested"))

    async def _current(self, login: _RepositoryLogin, refusal: tuple[Sequence[str], str] | None = None) -> str | None:
        """Return an Authorization header. `refusal`: the challenges of a 401 and the header that it refused."""
        try:
            async with self._clock.timeout(LOGIN_SECONDS):
                if refusal is not None:
                    challenges, refused = refusal
                    await login.tokens.answer(challenges, login.scopes, refused)
                return await login.tokens.header(login.scopes)
        except SnapproxyError as error:
            self._disable(login, error)
        except TimeoutError:
            self._disable(login, login.tokens.denied(f"its token service did not answer within {LOGIN_SECONDS:.0f} s"))
        return None

    def _find(self, url: str) -> _RepositoryLogin | None:
        base, _, _ = url.rpartition("sha256:")
        return self._logins.get(base)

    def _disable(self, login: _RepositoryLogin, error: SnapproxyError) -> None:
        """Send no request to a registry for a while.

        Log it once, although many requests may fail for the same reason.
        """
        if self._clock.monotonic() >= login.disabled_until:
            text = " ".join(str(error).splitlines())
            _log.warning("%s is not used for %.0f s: %s", login.blob_source.text, SHUT_SECONDS, text)
        login.disabled_until = self._clock.monotonic() + SHUT_SECONDS
