"""Read a file with the credentials for upstream servers: apt's auth.conf, or one line for every base of an archive.

`apt_auth.conf(5)` defines the first form: `machine [protocol://]host[:port][/path] login USER password SECRET`,
where an entry without a protocol is for https alone. The second form is a line `bearer TOKEN` (RFC 6750) or
`basic USER:PASSWORD`. The secrets are not part of any `repr`, and no error quotes the file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote, urlsplit

from snapproxy.errors import ConfigurationError

#: RFC 6750, section 2.1: `b64token`.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_SCHEMES = ("http", "https")


class Withheld(Enum):
    """The reasons for which a file has no credentials for an address. The value completes a sentence."""

    NO_ENTRY = "the file has no entry for this address"
    PLAIN_HTTP = (
        "this address is plain http, where others can read them. If that is acceptable, begin the entry with http://, "
        "or set credentials_over_http = true"
    )


@dataclass(frozen=True, slots=True)
class AuthEntry:
    """One entry of a file: the addresses for which it is, and the Authorization header.

    `scheme` is '' if the entry names none: https. `host` is '' for every host, `port` None for every port, `path` the
    beginning of the path of an address.
    """

    authorization: str = field(repr=False)
    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""


def read_auth_conf(text: str) -> tuple[AuthEntry, ...]:
    """Return the entries of a file. Raises ConfigurationError, which names the fault and quotes nothing."""
    if _CONTROL.search(text):
        raise _unreadable("it contains control characters")
    words = [word for line in text.splitlines() if not line.lstrip().startswith("#") for word in line.split()]
    if not words:
        raise _unreadable("it is empty")
    kind = words[0].lower()
    if kind in ("bearer", "basic"):
        return (AuthEntry(_single(kind, words[1:])),)
    entries = tuple(_machines(words))
    if not entries:
        raise _unreadable("it has neither `machine` entries nor a line `bearer TOKEN` or `basic USER:PASSWORD`")
    return entries


def find_entry(entries: Sequence[AuthEntry], url: str, *, over_http: bool) -> AuthEntry | Withheld:
    """Return the first entry for an address, as apt does. `over_http`: entries without a scheme are for http too."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    found = [each for each in entries if _is_for(each, host, parts.port or _port(parts.scheme), parts.path)]
    for entry in found:
        if parts.scheme in ((entry.scheme,) if entry.scheme else ("https", "http") if over_http else ("https",)):
            return entry
    is_withheld = parts.scheme == "http" and any(not each.scheme for each in found)
    return Withheld.PLAIN_HTTP if is_withheld else Withheld.NO_ENTRY


def _is_for(entry: AuthEntry, host: str, port: int, path: str) -> bool:
    # A server may resolve encoded dot segments, to a path outside that of the entry.
    is_inside = path.startswith(entry.path) and (not entry.path or not {".", ".."} & set(_segments(path)))
    return entry.host in ("", host) and entry.port in (None, port) and is_inside


def _segments(path: str) -> list[str]:
    return unquote(path).replace("\\", "/").split("/")


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _single(kind: str, words: Sequence[str]) -> str:
    if kind == "bearer":
        if len(words) != 1 or not _BEARER.fullmatch(words[0]):
            raise _unreadable("`bearer` must be followed by one token (letters, digits and ._~+/-=) and nothing else")
        return f"Bearer {words[0]}"
    if len(words) != 1 or ":" not in words[0]:
        raise _unreadable("`basic` must be followed by USER:PASSWORD and nothing else")
    return _basic(*words[0].split(":", 1))


def _basic(user: str, password: str) -> str:
    if ":" in user:
        raise _unreadable("a login contains a colon, which the Basic scheme cannot send")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _machines(words: Sequence[str]) -> Iterator[AuthEntry]:
    """Yield the `machine` entries. Unknown words are ignored, as apt does."""
    at = 0
    while at < len(words):
        if words[at] != "machine":
            at += 1
            continue
        if at + 1 == len(words):
            raise _unreadable("the last `machine` has no address")
        address, at = words[at + 1], at + 2
        login: dict[str, str] = {}
        while at < len(words) and words[at] != "machine":
            if words[at] in ("login", "password") and at + 1 < len(words):
                login[words[at]] = words[at + 1]
                at += 1
            at += 1
        if login.keys() != {"login", "password"}:
            raise _unreadable("a `machine` entry has no `login` or no `password`")
        yield _entry(address, _basic(login["login"], login["password"]))


def _entry(address: str, authorization: str) -> AuthEntry:
    scheme, mark, rest = address.rpartition("://")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or "@" in rest or (mark and scheme not in _SCHEMES):
        raise _unreadable("the address of a `machine` entry is not [http://|https://]HOST[:PORT][/PATH]")
    return AuthEntry(authorization, scheme, host.rstrip("."), port, parts.path)


def _unreadable(why: str) -> ConfigurationError:
    return ConfigurationError("The credentials file cannot be used", why=f"{why}.")
