"""From a raw request to the target it names, or the refusal it gets. The only reader of URLs that clients send.

Four forms (docs/design.md, section 2): `/<archive>/<when>/<path>`; the snapshot services' own addresses; a proxy request, whose host
and path select a row and whose credentials carry the time; and `/~<capture>/` before the first two. What the target answers is the
executor's business, what goes on the wire is web's. Refusals hold our own words only, never a byte of the request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from snapproxy.core.blob_sources import CALL, blob_named
from snapproxy.core.credentials import Credentials, is_capture_name, read_credentials
from snapproxy.core.exchange import BlobTarget, FileTarget, PageTarget, PassTarget, ServiceTarget, Target, TunnelTarget
from snapproxy.core.history import History, NativeCall, NativeFile
from snapproxy.core.model import Archive, Match, Refusal, TimeSpec
from snapproxy.core.paths import canonical_path, escape_path, refuse_query
from snapproxy.core.pin_script import read_script
from snapproxy.core.routes import Route, RouteKind, format_authority, read_authority, routes_of, select
from snapproxy.core.time_spec import SPELLINGS, parse_time
from snapproxy.errors import ClientError

__all__ = ["AddressBook", "canonical_path", "escape_path", "read", "reserved_names"]

PAGES = ("", "healthz", "readyz", "metrics")
STATS = "-/stats"

_OWN_NAMES = frozenset({"archive", CALL, *PAGES[1:], "~", "-"})

_REALM = "snapproxy: the user name is a time, e.g. 20240601T000000Z"
_FORMS = "Ask for /<archive>/<when>/<path>, or use http_proxy=http://<when>:x@HOST:3142 with the sources as they are."
# How apt-cacher-ng spells an https source; as a path of its own, or as a host when the proxy is configured as one.
_HTTPS = re.compile(r"(?:/|http://)https///", re.IGNORECASE)
# For hosts that are passed through a path is theirs to read: visible ASCII, no fragment.
_PASSED_PATH = re.compile(r"[!-\"$-\[\]-~]{0,8192}")
_HTTPS_PORT = 443
_METHODS = ("GET", "HEAD", "CONNECT")
_PASSED_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def reserved_names(histories: Mapping[str, History]) -> frozenset[str]:
    """Return the names that no archive may have: addresses of this proxy itself begin with them, now or later."""
    return _OWN_NAMES | _native_names(histories)


def _native_names(histories: Mapping[str, History]) -> frozenset[str]:
    return frozenset[str]().union(*(history.native_names for history in histories.values()))


@dataclass(frozen=True, slots=True)
class AddressBook:
    """What is known of names and hosts when a request is read.

    `archives`: the archive table, the user's own rows last. `histories`: the histories by name. `default_capture`: what requests record into that name no capture, '' for
    nothing. `passes`: (host, port) that may be reached unpinned. `connect`: whether
    a live client may tunnel to a row's hosts. `own_hosts`: how clients call this proxy, `host:port` (or `host` for port 80).
    """

    archives: tuple[Archive, ...]
    histories: Mapping[str, History]
    default_when: TimeSpec | None = None
    default_capture: str = ""
    passes: tuple[tuple[str, int], ...] = ()
    connect: bool = False
    own_hosts: frozenset[str] = frozenset()
    names: dict[str, Archive] = field(init=False, repr=False, compare=False)
    natives: dict[str, Archive] = field(init=False, repr=False, compare=False)
    routes: tuple[Route, ...] = field(init=False, repr=False, compare=False)
    native_names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        natives: dict[str, Archive] = {}
        for archive in self.archives:
            for name in self.history_of(archive).native_names_of(archive):
                natives.setdefault(name, archive)
        object.__setattr__(self, "names", {archive.name: archive for archive in self.archives})
        object.__setattr__(self, "natives", natives)
        object.__setattr__(self, "routes", routes_of(self.archives, self.histories))
        object.__setattr__(self, "native_names", _native_names(self.histories))

    def history_of(self, archive: Archive) -> History:
        """Return the history that an archive names."""
        return self.histories[archive.history]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request taken apart: its canonical path, its query (None without '?'), and what may say who asks.

    `place` is what stood before the path, for a redirect to repeat: '/', 'http://host/', '/~capture/'.
    """

    book: AddressBook
    path: str
    query: str | None
    authorization: str
    place: str = "/"
    capture: str = ""


def read(method: str, raw_target: str, book: AddressBook, *, proxy_authorization: str = "") -> Target | Refusal:
    """Return what a request names, or why it is refused. Total: no request raises.

    `raw_target` is the request target as it came (bytes that are not UTF-8 as surrogate escapes). The Host header has no say:
    RFC 9112, section 3.2.2, puts an absolute URI above it, and the origin form means this proxy whatever it is called.
    """
    try:
        target = (_tunnel if method == "CONNECT" else _read)(raw_target, book, proxy_authorization)
    except ClientError as error:
        target = Refusal(error.status, error.reason, error.why, error.hint or _FORMS)
    allowed = _PASSED_METHODS if isinstance(target, PassTarget) else _METHODS
    if method not in allowed:
        return Refusal(405, "only GET, HEAD and CONNECT are understood", headers={"Allow": ", ".join(_METHODS)})
    return target


def _read(raw: str, book: AddressBook, authorization: str) -> Target | Refusal:
    if "#" in raw:
        raise ClientError("an address on the wire has no fragment")
    https = _HTTPS.match(raw)
    if https:
        return _absolute("https", raw[https.end() :], book, authorization)
    if raw.startswith("/"):
        return _origin(_asked(raw, book, authorization))
    scheme, separator, rest = raw.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise ClientError("the request target is neither a path nor an http address")
    return _absolute(scheme.lower(), rest, book, authorization)


def _asked(raw: str, book: AddressBook, authorization: str, place: str = "/") -> _Asked:
    path, mark, query = raw.partition("?")
    return _Asked(book, canonical_path(path), query if mark else None, authorization, place)


def _absolute(scheme: str, rest: str, book: AddressBook, authorization: str) -> Target | Refusal:
    """Read `host[:port]/path`: an address of our own, a place that selects a row, or a host that may be passed."""
    text, slash, raw = rest.partition("/")
    if "@" in text:
        raise ClientError("a user name in the address is not accepted", why="The time belongs to the proxy's address.")
    host, port = read_authority(text, scheme)
    authority = format_authority(host, port, scheme)
    https = _HTTPS.match(slash + raw)
    if (
        https and scheme == "http" and authority in book.own_hosts
    ):  # our own address, reached through ourselves as a proxy
        return _absolute("https", raw[https.end() - len(slash) :], book, authorization)
    asked = _asked(slash + raw, book, authorization, f"{scheme}://{authority}/")
    if authority in book.own_hosts:
        return _origin(asked)
    # Rows go before `pass`, so that what can be pinned is.
    chosen = select(book.routes, authority, asked.path)
    if chosen is None:
        is_passed = scheme == "http" and (host, port) in book.passes
        return _passed(asked, host, port, slash + raw) if is_passed else _unknown_host(book)
    route, path = chosen
    if route.kind is RouteKind.NATIVE:
        return _native(asked, route.archive, path)
    if route.kind is RouteKind.MIRROR:
        return _at_credentials_time(asked, route.archive, path)
    # A redirect repeats what stood before the time; behind a scope that is the client's own, and no redirect is ever needed there.
    base = "" if route.archive.scope else asked.place + (f"{route.prefix}/" if route.prefix else "")
    scope, rest_of_path = _split_scope(path, route.archive.scope)
    return _dated(asked, route.archive, rest_of_path, base, scope)


def _origin(asked: _Asked) -> Target | Refusal:
    """Read a path on this proxy itself."""
    head, _, rest = asked.path.partition("/")
    if head.startswith("~") and not asked.capture:
        if not is_capture_name(head[1:]):
            raise ClientError("that is not the name of a capture")
        place = f"{asked.place}{head}/"
        return _origin(_Asked(asked.book, rest, asked.query, asked.authorization, place, head[1:]))
    if asked.path in (*PAGES, STATS) and not asked.capture:
        refuse_query(asked.query)
        return PageTarget(f"/{asked.path}")
    if head == CALL and not asked.capture:
        return _blob(asked)
    is_taken = head in _OWN_NAMES or head in asked.book.native_names or head in asked.book.names
    if not is_taken and (script := read_script(asked.path, asked.query, asked.capture)) is not None:
        return script
    if head in asked.book.native_names:
        archive = asked.book.natives.get(head)
        return _native(asked, archive, asked.path) if archive else _unknown_name(asked.book)
    place = asked.place
    if head == "archive":
        place = f"{place}archive/"
        head, _, rest = rest.partition("/")
    archive = asked.book.names.get(head)
    return _dated(asked, archive, rest, f"{place}{head}/") if archive else _unknown_name(asked.book)


def _blob(asked: _Asked) -> BlobTarget | Refusal:
    """Read the one call of a registry's that is answered here."""
    refuse_query(asked.query)
    digest = blob_named(asked.path)
    why = "Of a registry's calls this proxy answers one, and it only gives: no manifests, no tags, no uploads."
    hint = "Ask for /v2/<anything>/blobs/sha256:<64 lower-case hex digits>."
    return BlobTarget(digest) if digest else Refusal(404, "this is no registry: blobs alone are given", why, hint)


def _split_scope(path: str, count: int) -> tuple[str, str]:
    """Part what stands before the snapshot id in an upstream's own address from the rest."""
    names = path.split("/")
    return "".join(f"{name}/" for name in names[:count]), "/".join(names[count:])


def _dated(asked: _Asked, archive: Archive, path: str, base: str, scope: str = "") -> Target:
    """Read `<when>/<path>`; where a snapshot's id is not spelt as a time, also that id in the place of the time."""
    if named := asked.book.history_of(archive).read_snapshot_id(path):
        return _timed(asked, archive, named.when, named.path)
    text, _, rest = path.partition("/")
    if not text:
        raise ClientError("the address names an archive but no time", hint=f"{_FORMS} {SPELLINGS}")
    return _timed(asked, archive, parse_time(text), scope + rest, base)


def _native(asked: _Asked, archive: Archive, path: str) -> Target:
    """Read an address of the archive's own service: a file at a time, or a question to the service."""
    match asked.book.history_of(archive).read_native(archive, path, asked.query):
        case NativeFile(when=when, path=file):
            return _timed(asked, archive, when, file)
        case NativeCall() as call:
            capture = _capture(asked, read_credentials(asked.authorization))
            return ServiceTarget(archive, call.path, call.sha1, capture, call.is_listing)


def _timed(asked: _Asked, archive: Archive, when: TimeSpec, path: str, base: str = "") -> FileTarget:
    """Name a file whose URL says the time: that beats the credentials'."""
    refuse_query(asked.query)
    credentials = read_credentials(asked.authorization)
    differs = credentials is not None and (credentials.when.instant, credentials.when.match) != (
        when.instant,
        when.match,
    )
    overridden = credentials.when.text if credentials and differs else ""
    return FileTarget(archive, when, path, capture=_capture(asked, credentials), base=base, overridden=overridden)


def _at_credentials_time(asked: _Asked, archive: Archive, path: str) -> FileTarget | Refusal:
    """Name a file as mirrors serve it: the time is the credentials', else the configured default."""
    refuse_query(asked.query)
    credentials = read_credentials(asked.authorization)
    when = credentials.when if credentials else asked.book.default_when
    if when is None:
        return _time_required()
    return FileTarget(archive, when, path, capture=_capture(asked, credentials))


def _passed(asked: _Asked, host: str, port: int, raw: str) -> PassTarget:
    """Let a request go on as it came: what its path and query mean is the other host's business."""
    path = raw if raw.startswith("/") else f"/{raw}"
    if not _PASSED_PATH.fullmatch(path):
        raise ClientError("the address holds characters that no address may have")
    return PassTarget(host, port, path, capture=_capture(asked, read_credentials(asked.authorization)))


def _tunnel(raw: str, book: AddressBook, authorization: str) -> TunnelTarget | Refusal:
    """Judge a CONNECT (RFC 9110, section 9.3.6): hosts in `pass`; where enabled, a row's own for a client that asked for live."""
    host, port = read_authority(raw, "https")
    if (host, port) in book.passes:
        credentials = read_credentials(authorization)
        return TunnelTarget(host, port, capture=_named(book, credentials))
    if not book.connect:
        return Refusal(
            403,
            "CONNECT is off: write http:// for https:// in the sources",
            "What runs inside a tunnel cannot be pinned or kept; this proxy itself speaks https upstream.",
            "To let a build reach that host unpinned, name it in `pass` as HOST:PORT.",
        )
    authority = format_authority(host, port, "https")
    if port != _HTTPS_PORT or not any(route.owns(authority) for route in book.routes):
        return _unknown_host(book)
    credentials = read_credentials(authorization)
    when = credentials.when if credentials else book.default_when
    if when is None:
        return _time_required()
    if when.match is not Match.LIVE:
        return Refusal(
            403,
            "a tunnel cannot be pinned: write http:// for https://",
            "CONNECT is for the live view only: nobody can tell what time an encrypted answer is from.",
            "Write http:// in the sources, or use http_proxy=http://live:x@HOST:3142 to see the present.",
        )
    return TunnelTarget(host, port, capture=_named(book, credentials))


def _capture(asked: _Asked, credentials: Credentials | None) -> str:
    """Return the capture a request records into: the URL's, else the credentials', else the default, else ''."""
    return asked.capture or _named(asked.book, credentials)


def _named(book: AddressBook, credentials: Credentials | None) -> str:
    return (credentials.capture if credentials else "") or book.default_capture


def _time_required() -> Refusal:
    """Challenge: dnf and zypper send credentials only once challenged, and wget without a password would silently get today."""
    return Refusal(
        407,
        "a time is required: http_proxy=http://20240601T000000Z:x@HOST:3142",
        "The request names no time, and silently answering with today would pin nothing.",
        f"{SPELLINGS} To see the present, ask for it: http://live:x@HOST:3142",
        headers={"Proxy-Authenticate": f'Basic realm="{_REALM}"'},
    )


def _unknown_host(book: AddressBook) -> Refusal:
    return Refusal(
        403,
        "no archive of this proxy matches that host and path",
        f"Nothing live may leak into a pinned view, so only archives in the table are answered, live too: {_list(book)}.",
        "Add the host under [archives] in the configuration, or name it in `pass` as HOST:PORT to reach it unpinned.",
    )


def _unknown_name(book: AddressBook) -> Refusal:
    return Refusal(404, "no archive or page of that name", f"The archives here are {_list(book)}.", _FORMS)


def _list(book: AddressBook) -> str:
    return ", ".join(sorted(book.names)) or "none"
