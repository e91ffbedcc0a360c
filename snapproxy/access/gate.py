"""Decide whether a request is permitted, from its token and its need."""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass
from enum import Enum

from snapproxy.access.scopes import RequestNeed, permits
from snapproxy.access.token_text import PREFIX
from snapproxy.access.tokens import ClientTokens, Token, TokenFault
from snapproxy.core.credentials import token_of
from snapproxy.core.model import Refusal

_REALM = 'realm="snapproxy"'


class TokenRule(Enum):
    """Which requests for files need a token (the setting `tokens`). A token that is sent must always be valid."""

    OPTIONAL = "optional"
    """None of them."""
    RECORDING = "recording"
    """Those that record into a capture."""
    REQUIRED = "required"
    """All of them."""


@dataclass(frozen=True, slots=True)
class Permission:
    """The outcome for a request: the id of its token, '' without one, or a refusal."""

    token_id: str = ""
    refusal: Refusal | None = None


class Gate:
    """Decides by the rule of the configuration and the tokens of the store.

    `demands_tokens`: some requests for files need a token.
    """

    def __init__(self, tokens: ClientTokens, rule: TokenRule) -> None:
        self._tokens = tokens
        self._rule = rule
        self.demands_tokens = rule is not TokenRule.OPTIONAL

    def decide(
        self, authorization: str, proxy_authorization: str, need: RequestNeed, *, is_proxied: bool
    ) -> Permission:
        """Return whether a request is permitted. `is_proxied`: it reached this server as its client's proxy."""
        text = sent_token(authorization, proxy_authorization)
        if not text:
            is_needed = need.is_admin or self._rule is TokenRule.REQUIRED
            if not is_needed and not (need.capture and self._rule is TokenRule.RECORDING):
                return Permission()
            return Permission(refusal=_required(need, is_proxied=is_proxied))
        found = self._tokens.recognise(text)
        if isinstance(found, TokenFault):
            return Permission(refusal=_invalid(found, is_proxied=is_proxied))
        if not permits(found.scopes, need):
            return Permission(found.id, _forbidden(found, need))
        return Permission(found.id)


def sent_token(authorization: str, proxy_authorization: str) -> str:
    """Return the token of a request, '' if it has none: of the proxy password, else of Authorization.

    `Authorization: Bearer snp-...`, or Basic with the token as password. Other credentials are not for this proxy.
    """
    if proxy_authorization and (token := token_of(proxy_authorization)):
        return token
    scheme, _, rest = authorization.partition(" ")
    text = rest.strip()
    if scheme.lower() == "basic":
        try:
            text = b64decode(text, validate=True).decode("ascii").partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    elif scheme.lower() != "bearer":
        return ""
    return text if text.startswith(PREFIX) else ""


def _required(need: RequestNeed, *, is_proxied: bool) -> Refusal:
    what = "the pages for operators" if need.is_admin else "requests that record into a capture"
    return _challenge(
        "a token is required",
        f"This proxy demands one for {what if need.is_admin or need.capture else 'every request of a file'}.",
        "Ask its administrator (`snapproxy token create`), then write http://TIME:x.TOKEN@HOST:3142, or send "
        "Authorization: Bearer TOKEN.",
        is_proxied=is_proxied,
    )


def _invalid(fault: TokenFault, *, is_proxied: bool) -> Refusal:
    return _challenge(
        "the token is not accepted", f"The request has a token, but {fault.value}.",
        "Ask the administrator for a new one: `snapproxy token create`.", is_proxied=is_proxied,
    )  # fmt: skip


def _challenge(reason: str, why: str, hint: str, *, is_proxied: bool) -> Refusal:
    """Return a 407 to the client of a proxy, and a 401 to others (RFC 9110, sections 11.6 and 11.7)."""
    if is_proxied:
        return Refusal(407, reason, why, hint, headers={"Proxy-Authenticate": f"Basic {_REALM}"})
    return Refusal(401, reason, why, hint, headers={"WWW-Authenticate": f"Basic {_REALM}"})


def _forbidden(token: Token, need: RequestNeed) -> Refusal:
    what = "the pages for operators" if need.is_admin else "recording into this capture"
    return Refusal(
        403,
        f"the token {token.id} does not permit {'these pages' if need.is_admin else 'this capture'}",
        f"Its scopes ({', '.join(token.scopes)}) do not include {what}.",
        "Use another token, or the name of a capture that begins with its prefix.",
    )
