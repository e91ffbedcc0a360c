"""Select the archive for a host and a path.

The routes are built once from the archive table and used by `address`. There are three kinds of place: an archive as
its mirrors serve it (its `hosts`), an archive with a time in its URL (its `snapshot` bases), and the native addresses
of the service at such a base.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from snapproxy.core.history import History
from snapproxy.core.model import Archive
from snapproxy.errors import ClientError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::([0-9]{1,5}))?")


class RouteKind(Enum):
    """The kind of a place."""

    MIRROR = "mirror"
    """The archive as it is now; the credentials contain the time."""
    DATED = "dated"
    """A time, then the archive at that time."""
    NATIVE = "native"
    """An address that the archive's history reads (`History.read_native`)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One place, and the archive it selects. `rank` grows with how specific the place is: host first, then path.

    `host`: the pattern that `authority` was compiled from. `shape`, if set: the pattern of a path whose group `rest` is
    the path in the archive, for a `prefix` with `*`. `names`, if set: the segments that may follow; such a host has
    other addresses too, which are not the archive's.
    """

    archive: Archive
    kind: RouteKind
    host: str
    authority: re.Pattern[str]
    prefix: str
    rank: tuple[bool, int, int]
    shape: re.Pattern[str] | None = None
    names: frozenset[str] = frozenset()

    def owns(self, authority: str) -> bool:
        """Return whether a host is that of this place, independent of the path. False for a place on any host."""
        return self.rank[1] > 0 and self.authority.fullmatch(authority) is not None

    def rest(self, authority: str, path: str) -> str | None:
        """Return the part of a canonical path after this place, None for a path outside it."""
        if not self.authority.fullmatch(authority):
            return None
        if self.shape is not None:
            found = self.shape.fullmatch(path)
            return found["rest"] or "" if found else None
        inside = path + "/" if path == self.prefix else path
        start = f"{self.prefix}/" if self.prefix else ""
        if not inside.startswith(start):
            return None
        rest = inside.removeprefix(start)
        return None if self.names and rest.partition("/")[0] not in self.names else rest


def read_authority(text: str, scheme: str = "http") -> tuple[str, int]:
    """Read `host[:port]` of a URL: the host in lower case without a trailing dot, and the port or the scheme's default.

    Raises ClientError for other text, a user name included.
    """
    found = _AUTHORITY.fullmatch(text.lower()) if len(text) <= 255 + 6 else None  # RFC 1035: 255 octets, and ":65535"
    port = int(found[2] or _DEFAULT_PORTS[scheme]) if found else 0
    if found is None or port not in range(1, 65536):
        raise ClientError("the host in the address is malformed")
    return found[1], port


def format_authority(host: str, port: int, scheme: str = "http") -> str:
    """Write a host and port in the form of routes and `own_hosts`: the scheme's default port is omitted."""
    return host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"


def routes_of(archives: Iterable[Archive], histories: Mapping[str, History]) -> tuple[Route, ...]:
    """Return every place of the table, in its order."""
    return tuple(route for archive in archives for route in _routes_of(archive, histories[archive.history]))


def select(routes: Iterable[Route], authority: str, path: str) -> tuple[Route, str] | None:
    """Return the most specific route of a path, and the path below it.

    Among equal ones the later one wins, which is the user's own.
    """
    best: tuple[Route, str] | None = None
    for route in routes:
        rest = route.rest(authority, path)
        if rest is not None and (best is None or route.rank >= best[0].rank):
            best = route, rest
    return best


def _routes_of(archive: Archive, history: History) -> Iterator[Route]:
    for pattern in archive.hosts:
        authority, _, prefix = pattern.partition("/")
        yield _route(archive, RouteKind.MIRROR, authority, prefix)
    for base in archive.snapshot:
        root = history.native_root(base)
        if root != base:
            yield _route_to_base(archive, RouteKind.DATED, base)
        if root is not None:
            yield _route_to_base(archive, RouteKind.NATIVE, root, history.native_names_of(archive))


def _route_to_base(archive: Archive, kind: RouteKind, base: str, names: frozenset[str] = frozenset()) -> Route:
    parts = urlsplit(base)
    authority = format_authority(*read_authority(parts.netloc, parts.scheme), parts.scheme)
    return _route(archive, kind, authority, parts.path, names)


def _route(
    archive: Archive, kind: RouteKind, authority: str, prefix: str, names: frozenset[str] = frozenset()
) -> Route:
    """Compile a place; `*` as the whole host is any host, in other positions any characters within a label.

    In the path of a mirror, `*` is any segment or any characters within one. A path `**/a/*/b` matches any folders,
    then these segments; only these are part of the path in the archive.
    """
    pieces = [re.escape(piece) for piece in authority.lower().split("*")]
    matches = ".*" if authority == "*" else "[^.:]*".join(pieces)
    prefix = prefix.strip("/")
    literal = len(authority.replace("*", ""))
    shape = _shape(prefix) if kind is RouteKind.MIRROR and "*" in prefix else None
    named = prefix if prefix.startswith("**/") else prefix.replace("*", "")
    rank = (literal == len(authority), literal, len(named))
    return Route(archive, kind, authority.lower(), re.compile(matches), prefix, rank, shape, names)


def _shape(prefix: str) -> re.Pattern[str]:
    any_folders = prefix.startswith("**/")
    segments = prefix.removeprefix("**/").split("/")
    written = "/".join(
        "[^/]+" if segment == "*" else "[^/]*".join(map(re.escape, segment.split("*"))) for segment in segments
    )
    return re.compile(f"(?:[^/]+/)*?(?P<rest>{written})" if any_folders else f"{written}(?:/(?P<rest>.*))?")
