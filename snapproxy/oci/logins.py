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
        self.shut_until = 0.0


class RegistryLogins:
    """Fulfils `core.logins.Logins` for the registries among `holders`, whose logins are where `environ` leads. Use as an async context manager."""

    def __init__(self, blob_sources: Iterable[BlobSource], *, environ: Mapping[str, str], clock: Clock) -> None:
        self._holders = [blob_source for blob_source in blob_sources if blob_source.registry]
        self._keychain = Keychain(environ, clock=clock)
        self._clock = clock
        self._doors: dict[str, _RepositoryLogin] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for blob_source in self._holders:
            scheme, _, host = blob_source.origin.partition("://")
            wire = await self._stack.enter_async_context(
                RegistryConnections(host, clock=self._clock, plain_http=scheme == "http")
            )
            tokens = Tokens(wire, Reference(blob_source.registry, blob_source.repository), self._keychain, self._clock)
            self._doors[blob_source.base] = _RepositoryLogin(
                blob_source, tokens, f"repository:{blob_source.repository}:pull"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def header(self, url: str) -> str | None:
        """Return the Authorization to send along; see `core.logins`."""
        door = self._door(url)
        if door is None:
            return ""
        return None if self._clock.monotonic() < door.shut_until else await self._current(door)

    async def answer(self, url: str, challenges: Sequence[str], refused: str) -> str | None:
        """Return what a 401 asks for; see `core.logins`."""
        door = self._door(url)
        return None if door is None else await self._current(door, (challenges, refused))

    def shut(self, url: str) -> None:
        """Learn that a login is not taken."""
        if door := self._door(url):
            self._shut(door, door.tokens.denied("what it asked for is not enough for it"))

    async def _current(self, door: _RepositoryLogin, refusal: tuple[Sequence[str], str] | None = None) -> str | None:
        """Return an Authorization, another one after a `refusal` (its challenges, and what was refused)."""
        try:
            async with self._clock.timeout(LOGIN_SECONDS):
                if refusal is not None:
                    challenges, refused = refusal
                    await door.tokens.answer(challenges, door.scopes, refused)
                return await door.tokens.header(door.scopes)
        except SnapproxyError as error:
            self._shut(door, error)
        except TimeoutError:
            self._shut(door, door.tokens.denied(f"its token service said nothing within {LOGIN_SECONDS:.0f} s"))
        return None

    def _door(self, url: str) -> _RepositoryLogin | None:
        base, _, _ = url.rpartition("sha256:")
        return self._doors.get(base)

    def _shut(self, door: _RepositoryLogin, error: SnapproxyError) -> None:
        """Leave a registry alone, and say so once: many requests may have met the same."""
        if self._clock.monotonic() >= door.shut_until:
            told = " ".join(str(error).splitlines())
            _log.warning("%s is not asked for %.0f s: %s", door.blob_source.text, SHUT_SECONDS, told)
        door.shut_until = self._clock.monotonic() + SHUT_SECONDS
