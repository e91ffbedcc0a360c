"""Shared parts of the texts for all clients: snippets, times in URLs and shell commands, the URL of the proxy form."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.core import time_spec
from snapproxy.core.model import Match, TimeSpec

DEFAULT_BASE = "http://127.0.0.1:3142"

ASK_AGAIN = "apt-get update, dnf --refresh, zypper refresh --force, apk -U, pacman -Sy"
"""How to make each client request its metadata, for messages."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text and the file for it (`path`, '' for a shell)."""

    path: str
    text: str


def user_name(time: TimeSpec) -> str:
    """Write a time in letters, digits, dots and hyphens, for the user name of a URL, a path segment or a shell word.

    RFC 3339 becomes the compact form, because an unescaped colon separates user and password.
    """
    if time.instant is None:
        return time.match.value
    suffix = "" if time.match is Match.AT else f".{time.match.value}"
    return time_spec.format_instant(time.instant) + suffix


def proxy_url(base: str, time: TimeSpec) -> str:
    """Return the URL of the proxy form; `base` is snapproxy's address, `http://HOST:PORT`.

    The password is ignored, but some clients (GNU wget) send no credentials without one.
    """
    return base.replace("://", f"://{user_name(time)}:x@", 1)


def proxy_exports(proxy: str) -> tuple[str, str]:
    """Return the two shell commands that send the requests of every client to `proxy`, without exceptions.

    Clients differ in the case of the variables that they read. With `http_proxy` alone, most of them request https
    sources directly and install current packages; snapproxy refuses such a request.
    """
    same = " ".join(f'{name}="$http_proxy"' for name in ("https_proxy", "HTTP_PROXY", "HTTPS_PROXY"))
    return f"export http_proxy={proxy} no_proxy= NO_PROXY=", f"export {same}"


def exports(base: str, time: TimeSpec, **variables: str) -> Snippet:
    """Return the shell lines of the proxy form, those of `variables`, and that of SOURCE_DATE_EPOCH for an instant."""
    if time.instant is not None:
        variables["SOURCE_DATE_EPOCH"] = str(time.instant)
    lines = [*proxy_exports(proxy_url(base, time)), *(f"export {name}={value}" for name, value in variables.items())]
    return Snippet("", "\n".join(lines) + "\n")
