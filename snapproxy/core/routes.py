"""Which row of the archive table a host and a path select.

Built once from the table; `address` asks it. Three kinds of place are known: an archive as its mirrors serve it (a row's `hosts`),
an archive with a time in its URL (a row's `snapshot` bases), and the snapshot service's own calls beside such a base.
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
    """What stands at a place."""

    MIRROR = "mirror"
    """The archive as it is now; the time comes with the credentials."""
    DATED = "dated"
    """A *when*, then the archive as it was."""
    NATIVE = "native"
    """An address that the archive's history reads (`History.read_native`)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One place, and the row it selects. `rank` grows with how specific the place is: host first, then path.

    `host` is what `authority` was compiled from.
    `shape`, where given, is what the end of a path must look like, in place of `prefix` at its beginning. `names`, where given, are
    the segments that may follow: such a host has other things too, which are none of this row's.
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
        """Whether a host is this place's own, whatever the path: not where any host would do."""
        return self.rank[1] > 0 and self.authority.fullmatch(authority) is not None

    def rest(self, authority: str, path: str) -> str | None:
        """Return what follows this place in a canonical path, None when it lies elsewhere."""
        if not self.authority.fullmatch(authority):
            return None
        if self.shape is not None:
            found = self.shape.fullmatch(path)
            return found["rest"] if found else None
        inside = path + "/" if path == self.prefix else path
        start = f"{self.prefix}/" if self.prefix else ""
        if not inside.startswith(start):
            return None
        rest = inside.removeprefix(start)
        return None if self.names and rest.partition("/")[0] not in self.names else rest


def read_authority(text: str, scheme: str = "http") -> tuple[str, int]:
    """Read `host[:port]` of a URL: the host in lower case without the root's dot, the port said or the scheme's own.

    Raises ClientError; a user name in front of the host does not pass either.
    """
    found = _AUTHORITY.fullmatch(text.lower()) if len(text) <= 255 + 6 else None  # RFC 1035: 255 octets, and ":65535"
    port = int(found[2] or _DEFAULT_PORTS[scheme]) if found else 0
    if found is None or port not in range(1, 65536):
        raise ClientError("the host in the address is malformed")
    return found[1], port


def format_authority(host: str, port: int, scheme: str = "http") -> str:
    """Write a host and port as routes and `own_hosts` hold them: the scheme's own port is left out."""
    return host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"


def routes_of(archives: Iterable[Archive], histories: Mapping[str, History]) -> tuple[Route, ...]:
    """Return every place of the table, in its order."""
    return tuple(route for archive in archives for route in _routes_of(archive, histories[archive.history]))


def select(routes: Iterable[Route], authority: str, path: str) -> tuple[Route, str] | None:
    """Return the most specific route to a place and what follows it; among equals the later row, which is the user's own."""
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
    """Compile a place; `*` as the whole host is any host, elsewhere any run within a label.

    A path `**/a/*/b` is any folders, and then segments of which `*` is any one; only these belong to the path in the archive.
    """
    pieces = [re.escape(piece) for piece in authority.lower().split("*")]
    matches = ".*" if authority == "*" else "[^.:]*".join(pieces)
    prefix = prefix.strip("/")
    literal = len(authority.replace("*", ""))
    shape = _shape(prefix.removeprefix("**/")) if prefix.startswith("**/") else None
    rank = (literal == len(authority), literal, len(prefix))
    return Route(archive, kind, authority.lower(), re.compile(matches), prefix, rank, shape, names)


def _shape(segments: str) -> re.Pattern[str]:
    rest = "/".join("[^/]+" if segment == "*" else re.escape(segment) for segment in segments.split("/"))
    return re.compile(f"(?:[^/]+/)*?(?P<rest>{rest})")
