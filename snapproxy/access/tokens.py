"""The tokens of a store: created, listed, revoked, and recognised when a client sends one.

They are one fact of the catalog, `tokens`. Of a secret only its SHA-256 is stored: it has 256 random bits, so a slow
hash would protect it no better. A change raises the store's epoch, so that every process obeys it from its next
request on.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from snapproxy.access.token_text import TokenText, read_token
from snapproxy.base.clock import Clock
from snapproxy.core.model import Instant
from snapproxy.errors import ClientError
from snapproxy_storage import Catalog

MOST = 1_000
"""Maximum number of tokens."""

USE_SECONDS = 3600
"""Resolution of the time of the last use, in seconds: a busy token costs one write an hour."""

_KEY, _USED = "tokens", "token-uses"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. `expires` is None for a token that does not expire, `used` for one never used."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: Instant
    expires: Instant | None = None
    used: Instant | None = None


class TokenFault(Enum):
    """The reasons for which a token is not accepted. The value completes a sentence."""

    MALFORMED = "it is not a token of snapproxy, or it was copied incompletely"
    UNKNOWN = "no token has it: it was revoked, or belongs to another snapproxy"
    EXPIRED = "it has expired"


class ClientTokens:
    """The tokens of the store behind `catalog`."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: tuple[int, dict[str, tuple[Token, str]]] = (-1, {})
        self._uses: dict[str, Instant] = {}
        self._written: dict[str, Instant] = {}

    async def create(self, name: str, scopes: Sequence[str], expires: Instant | None) -> tuple[Token, str]:
        """Create a token; return it and its text, which cannot be read again.

        Raises ClientError if the name is in use or there are too many tokens.
        """
        text = TokenText(secrets.token_hex(4), secrets.token_hex(32))
        token = Token(text.id, name, tuple(scopes), self._clock.now(), expires)
        row = {
            "name": name,
            "scopes": list(token.scopes),
            "created": token.created,
            "expires": expires,
            "sha256": _digest(text.secret),
        }

        def add(stored: Any | None) -> dict[str, Any]:
            rows: dict[str, Any] = stored or {}
            if any(each["name"] == name for each in rows.values()) or text.id in rows:
                raise ClientError("A token of this name exists", hint="Revoke it first, or choose another name.")
            if len(rows) >= MOST:
                raise ClientError(f"There are {MOST} tokens, the maximum", hint="Revoke the unused ones.")
            return {**rows, text.id: row}

        await self._catalog.update_fact(_KEY, add, invalidates=True)
        return token, text.write()

    def all(self) -> list[Token]:
        """Return all tokens, sorted by name."""
        return sorted((token for token, _ in self._rows().values()), key=lambda token: token.name)

    def find(self, name: str) -> Token:
        """Return the token with this name or id. Raises ClientError if there is none."""
        for token in self.all():
            if name in (token.name, token.id):
                return token
        raise ClientError("There is no such token", why=name, hint="`snapproxy token list` prints their names.")

    async def revoke(self, name: str) -> Token:
        """Remove a token by its name or id. Raises ClientError if there is none."""
        token = self.find(name)
        for key, invalidates in ((_KEY, True), (_USED, False)):
            await self._catalog.update_fact(
                key,
                lambda rows: {each: row for each, row in (rows or {}).items() if each != token.id},
                invalidates=invalidates,
            )
        return token

    def recognise(self, text: str) -> Token | TokenFault:
        """Return the token that a client sent, and note its use."""
        read = read_token(text)
        if read is None:
            return TokenFault.MALFORMED
        token, digest = self._rows().get(read.id, (None, ""))
        # Always compare, so that the time does not tell whether the id exists.
        is_equal = hmac.compare_digest(_digest(read.secret), digest)
        if token is None or not is_equal:
            return TokenFault.UNKNOWN
        now = self._clock.now()
        if token.expires is not None and token.expires <= now:
            return TokenFault.EXPIRED
        self._uses[token.id] = now - now % USE_SECONDS
        return token

    async def flush(self) -> None:
        """Write the times of use that are new. Call it now and then, and at the end."""
        new = {each: at for each, at in self._uses.items() if self._written.get(each) != at}
        if not new:
            return
        existing = set(self._rows())
        await self._catalog.update_fact(
            _USED,
            lambda stored: {
                each: max(at, new.get(each, 0)) for each, at in ({**new, **(stored or {})}).items() if each in existing
            },
        )
        self._written.update(new)

    def _rows(self) -> dict[str, tuple[Token, str]]:
        epoch = self._catalog.epoch  # read before the tokens: a change in between raises it again
        if self._known[0] != epoch:
            used: Mapping[str, int] = self._catalog.fact(_USED, 0) or {}
            stored: Mapping[str, Any] = self._catalog.fact(_KEY, 0) or {}
            self._known = (epoch, {each: (_read(each, row, used), row["sha256"]) for each, row in stored.items()})
        return self._known[1]


def _read(token_id: str, row: Mapping[str, Any], used: Mapping[str, int]) -> Token:
    return Token(token_id, row["name"], tuple(row["scopes"]), row["created"], row["expires"], used=used.get(token_id))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
