"""The logins of registries that are sources of promised files, for the shell's own requests to them (`core.logins`).

A source is a help, and must never hold a build up: what a login takes is bounded, and a registry that does not let us in is left
alone for a while, with one line in the log that says what to do.
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
"""How long a token service, or a helper with credentials, may take before the file is asked of somebody else."""

SHUT_SECONDS = 60.0
"""How long a registry that does not let us in is left alone: short enough for whoever logs in now."""

_log = logging.getLogger(__name__)


class _RepositoryLogin:
    """One repository, and whether it lets us in."""

    def __init__(self, blob_source: BlobSource, tokens: Tokens, scope: str) -> None:
        self.blob_source = blob_source
        self.tokens = tokens
        self.scopes = (scope,)
        self.disabled_until = 0.0


class RegistryLogins:
    """Fulfils `core.logins.Logins` for the registries among `holders`, whose logins are where `environ` leads. Use as an async context manager."""

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
        """Return the Authorization to send along; see `core.logins`."""
        login = self._find(url)
        if login is None:
            return ""
        return None if self._clock.monotonic() < login.disabled_until else await self._current(login)

    async def answer(self, url: str, challenges: Sequence[str], refused: str) -> str | None:
        """Return what a 401 asks for; see `core.logins`."""
        login = self._find(url)
        return None if login is None else await self._current(login, (challenges, refused))

    def shut(self, url: str) -> None:
        """Learn that a login is not taken."""
        if login := self._find(url):
            self._disable(login, login.tokens.denied("what it asked for is not enough for it"))

    async def _current(self, login: _RepositoryLogin, refusal: tuple[Sequence[str], str] | None = None) -> str | None:
        """Return an Authorization, another one after a `refusal` (its challenges, and what was refused)."""
        try:
            async with self._clock.timeout(LOGIN_SECONDS):
                if refusal is not None:
                    challenges, refused = refusal
                    await login.tokens.answer(challenges, login.scopes, refused)
                return await login.tokens.header(login.scopes)
        except SnapproxyError as error:
            self._disable(login, error)
        except TimeoutError:
            self._disable(login, login.tokens.denied(f"its token service said nothing within {LOGIN_SECONDS:.0f} s"))
        return None

    def _find(self, url: str) -> _RepositoryLogin | None:
        base, _, _ = url.rpartition("sha256:")
        return self._logins.get(base)

    def _disable(self, login: _RepositoryLogin, error: SnapproxyError) -> None:
        """Leave a registry alone, and say so once: many requests may have met the same."""
        if self._clock.monotonic() >= login.disabled_until:
            text = " ".join(str(error).splitlines())
            _log.warning("%s is not asked for %.0f s: %s", login.blob_source.text, SHUT_SECONDS, text)
        login.disabled_until = self._clock.monotonic() + SHUT_SECONDS
