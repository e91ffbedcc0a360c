"""Read the target that a raw request names, or refuse it. No other module reads URLs sent by clients.

Four forms (docs/explain/design.md, section 2): `/<archive>/<time>/<path>`; the native addresses of the archives' own
services; a proxy request, whose host and path select an archive and whose credentials contain the time; and
`/~<capture>/` before the first two. The executor answers the target, `web` writes the answer. Refusals contain fixed
texts only, never a byte of the request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from snapproxy.core.blob_sources import CALL, blob_named
from snapproxy.core.credentials import Credentials, is_capture_name, read_credentials
from snapproxy.core.exchange import (
    BlobTarget,
    FileTarget,
    PageTarget,
    PassTarget,
    ScriptTarget,
    ServiceTarget,
    Target,
    TunnelTarget,
)
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
_FORMS = (
    "Request /<archive>/<time>/<path>, or set http_proxy and https_proxy to http://<time>:x@HOST:3142 and leave the "
    "sources unchanged."
)
# A common form of an https source for caching proxies: a path of its own, or a host if the proxy is configured as one.
_HTTPS = re.compile(r"(?:/|http://)https///", re.IGNORECASE)
# The path of a passed-through request is not interpreted: visible ASCII without a fragment.
_PASSED_PATH = re.compile(r"[!-\"$-\[\]-~]{0,8192}")
_HTTPS_PORT = 443
_METHODS = ("GET", "HEAD", "CONNECT")
_PASSED_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def reserved_names(histories: Mapping[str, History]) -> frozenset[str]:
    """Return the names that no archive may have: current or future addresses of this proxy begin with them."""
    return _OWN_NAMES | _native_names(histories)


def _native_names(histories: Mapping[str, History]) -> frozenset[str]:
    return frozenset[str]().union(*(history.native_names for history in histories.values()))


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The configured names and hosts that requests are read against.

    `archives`: the archive table, the user's own archives last. `histories`: the histories by name. `default_when`: the
    time of a request that names none. `default_capture`: the capture that records a request that names none, '' for
    none. `challenged`: families whose requests without credentials get a 407 even with `default_when`, because their
    clients send credentials only after one (`Family.waits_for_challenge`). `passes`: (host, port) pairs that may be
    reached unpinned. `connect`: whether a live client may tunnel to an archive's hosts. `serves_live`: whether the time
    `live` is answered. `own_hosts`: the addresses of this proxy, `host:port` (or `host` for port 80).

    Computed: `names`: archives by name. `native_archives`: the first archive that has native addresses, by their first
    segment. `native_names`: every first segment reserved for native addresses. `routes`: the places that select an
    archive.
    """

    archives: tuple[Archive, ...]
    histories: Mapping[str, History]
    default_when: TimeSpec | None = None
    default_capture: str = ""
    challenged: frozenset[str] = frozenset()
    passes: tuple[tuple[str, int], ...] = ()
    connect: bool = False
    serves_live: bool = True
    own_hosts: frozenset[str] = frozenset()
    names: dict[str, Archive] = field(init=False, repr=False, compare=False)
    native_archives: dict[str, Archive] = field(init=False, repr=False, compare=False)
    routes: tuple[Route, ...] = field(init=False, repr=False, compare=False)
    native_names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        native_archives: dict[str, Archive] = {}
        for archive in self.archives:
            for name in self.history_of(archive).native_names_of(archive):
                native_archives.setdefault(name, archive)
        object.__setattr__(self, "names", {archive.name: archive for archive in self.archives})
        object.__setattr__(self, "native_archives", native_archives)
        object.__setattr__(self, "routes", routes_of(self.archives, self.histories))
        object.__setattr__(self, "native_names", _native_names(self.histories))

    def history_of(self, archive: Archive) -> History:
        """Return the history of an archive."""
        return self.histories[archive.history]


@dataclass(frozen=True, slots=True)
class _ParsedRequest:
    """A request split into its canonical path, its query (None without '?') and the parts with a capture or a time.

    `place` is the part of the address before the path, for use in a redirect: '/', 'http://host/', '/~capture/'.
    """

    book: AddressBook
    path: str
    query: str | None
    authorization: str
    place: str = "/"
    capture: str = ""


def read(method: str, raw_target: str, book: AddressBook, *, proxy_authorization: str = "") -> Target | Refusal:
    """Return the target that a request names, or a refusal. Never raises.

    `raw_target` is the request target as received (bytes that are not UTF-8 as surrogate escapes). The Host header is
    ignored: RFC 9112, section 3.2.2, gives an absolute URI precedence over it, and the origin form always addresses
    this proxy.
    """
    try:
        target = (_tunnel if method == "CONNECT" else _read)(raw_target, book, proxy_authorization)
    except ClientError as error:
        target = Refusal(error.status, error.reason, error.why, error.hint or _FORMS)
    if not book.serves_live:
        target = _without_live(target)
    allowed = _PASSED_METHODS if isinstance(target, PassTarget) else _METHODS
    if method not in allowed:
        return Refusal(405, "only GET, HEAD and CONNECT are supported", headers={"Allow": ", ".join(_METHODS)})
    return target


def _without_live(target: Target | Refusal) -> Target | Refusal:
    """Return a target that is not live, or a refusal. A script of the present becomes one that fails."""
    match target:
        case FileTarget(when=TimeSpec(match=Match.LIVE)):
            return _live_refused()
        case ScriptTarget(when=TimeSpec(match=Match.LIVE)):
            return replace(target, when=_live_refused())
        case _:
            return target


def foreign_host(method: str, raw_target: str) -> str:
    """Return the host that a refused request tried to reach, for statistics.

    `https://HOST` for CONNECT, otherwise `http://HOST`, each with its port unless that is the default; '' for another
    form of address or a malformed host.
    """
    scheme, text = "https", raw_target
    if method != "CONNECT":
        scheme, separator, rest = raw_target.partition("://")
        scheme, text = scheme.lower(), rest.partition("/")[0]
        if not separator or scheme not in {"http", "https"}:
            return ""
    try:
        return f"{scheme}://{format_authority(*read_authority(text, scheme), scheme)}"
    except ClientError:
        return ""


def _read(raw: str, book: AddressBook, authorization: str) -> Target | Refusal:
    if "#" in raw:
        raise ClientError("the request target contains a fragment (#)")
    https = _HTTPS.match(raw)
    if https:
        return _absolute("https", raw[https.end() :], book, authorization)
    if raw.startswith("/"):
        return _origin(_parse(raw, book, authorization))
    scheme, separator, rest = raw.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise ClientError("the request target is neither a path nor an http address")
    return _absolute(scheme.lower(), rest, book, authorization)


def _parse(raw: str, book: AddressBook, authorization: str, place: str = "/") -> _ParsedRequest:
    path, mark, query = raw.partition("?")
    return _ParsedRequest(book, canonical_path(path), query if mark else None, authorization, place)


def _absolute(scheme: str, rest: str, book: AddressBook, authorization: str) -> Target | Refusal:
    """Read `host[:port]/path`: this proxy's own address, a place of an archive, or a host that is passed through."""
    text, slash, raw = rest.partition("/")
    if "@" in text:
        raise ClientError(
            "a user name in the address is not accepted",
            why="Put the time in the address of the proxy, not of the file.",
        )
    host, port = read_authority(text, scheme)
    authority = format_authority(host, port, scheme)
    https = _HTTPS.match(slash + raw)
    # This proxy's own address, requested through this proxy.
    if https and scheme == "http" and authority in book.own_hosts:
        return _absolute("https", raw[https.end() - len(slash) :], book, authorization)
    request = _parse(slash + raw, book, authorization, f"{scheme}://{authority}/")
    if authority in book.own_hosts:
        return _origin(request)
    # Archives take precedence over `pass`, so that every request that can be pinned is pinned.
    chosen = select(book.routes, authority, request.path)
    if chosen is None:
        is_passed = scheme == "http" and (host, port) in book.passes
        return _pass_through(request, host, port, slash + raw) if is_passed else _unknown_host(book)
    route, path = chosen
    if route.kind is RouteKind.NATIVE:
        return _native(request, route.archive, path)
    if route.kind is RouteKind.MIRROR:
        return _at_credentials_time(request, route.archive, path)
    # A redirect repeats the address before the time. With a scope that part varies by client, so no redirect is needed.
    base = "" if route.archive.scope else request.place + (f"{route.prefix}/" if route.prefix else "")
    scope, rest_of_path = _split_scope(path, route.archive.scope)
    return _dated(request, route.archive, rest_of_path, base, scope)


def _origin(request: _ParsedRequest) -> Target | Refusal:
    """Read a path on this proxy itself."""
    head, _, rest = request.path.partition("/")
    if head.startswith("~") and not request.capture:
        if not is_capture_name(head[1:]):
            raise ClientError("that is not the name of a capture")
        place = f"{request.place}{head}/"
        return _origin(_ParsedRequest(request.book, rest, request.query, request.authorization, place, head[1:]))
    if request.path in (*PAGES, STATS) and not request.capture:
        refuse_query(request.query)
        return PageTarget(f"/{request.path}")
    if head == CALL and not request.capture:
        return _blob(request)
    is_taken = head in _OWN_NAMES or head in request.book.native_names or head in request.book.names
    if not is_taken and (script := read_script(request.path, request.query, request.capture)) is not None:
        return script
    if head in request.book.native_names:
        archive = request.book.native_archives.get(head)
        return _native(request, archive, request.path) if archive else _unknown_name(request.book)
    place = request.place
    if head == "archive":
        place = f"{place}archive/"
        head, _, rest = rest.partition("/")
    archive = request.book.names.get(head)
    return _dated(request, archive, rest, f"{place}{head}/") if archive else _unknown_name(request.book)


def _blob(request: _ParsedRequest) -> BlobTarget | Refusal:
    """Read the blob address, the only part of the registry API that this proxy has."""
    refuse_query(request.query)
    digest = blob_named(request.path)
    why = "This proxy serves blobs by digest only: no manifests, no tags, no uploads."
    hint = "Request /v2/<anything>/blobs/sha256:<64 lower-case hex digits>."
    return BlobTarget(digest) if digest else Refusal(404, "not a registry: only blobs are served", why, hint)


def _split_scope(path: str, count: int) -> tuple[str, str]:
    """Split a native path into the segments before the snapshot id and the rest."""
    names = path.split("/")
    return "".join(f"{name}/" for name in names[:count]), "/".join(names[count:])


def _dated(request: _ParsedRequest, archive: Archive, path: str, base: str, scope: str = "") -> Target:
    """Read `<time>/<path>`, or a snapshot id that is not written as a time (such as `2024/05/31`) and a path."""
    if named := request.book.history_of(archive).read_snapshot_id(path):
        return _timed(request, archive, named.when, named.path)
    text, _, rest = path.partition("/")
    if not text:
        raise ClientError("the address names an archive but no time", hint=f"{_FORMS} {SPELLINGS}")
    return _timed(request, archive, parse_time(text), scope + rest, base)


def _native(request: _ParsedRequest, archive: Archive, path: str) -> Target:
    """Read an address of the archive's own service: a file at a time, or a question to the service."""
    match request.book.history_of(archive).read_native(archive, path, request.query):
        case NativeFile(when=when, path=file):
            return _timed(request, archive, when, file)
        case NativeCall() as call:
            capture = _capture(request, read_credentials(request.authorization))
            return ServiceTarget(archive, call.path, call.sha1, capture, call.is_listing)


def _timed(request: _ParsedRequest, archive: Archive, when: TimeSpec, path: str, base: str = "") -> FileTarget:
    """Return the target for a file whose URL contains the time. The URL takes precedence over the credentials."""
    refuse_query(request.query)
    credentials = read_credentials(request.authorization)
    differs = credentials is not None and (credentials.when.instant, credentials.when.match) != (
        when.instant,
        when.match,
    )
    overridden = credentials.when.text if credentials and differs else ""
    return FileTarget(archive, when, path, capture=_capture(request, credentials), base=base, overridden=overridden)


def _at_credentials_time(request: _ParsedRequest, archive: Archive, path: str) -> FileTarget | Refusal:
    """Return the target for a mirror address: the time is that of the credentials, otherwise `default_when`."""
    refuse_query(request.query)
    credentials = read_credentials(request.authorization)
    when = credentials.when if credentials else _default_time(request.book, archive)
    if when is None:
        return _time_required()
    return FileTarget(archive, when, path, capture=_capture(request, credentials))


def _default_time(book: AddressBook, archive: Archive) -> TimeSpec | None:
    """Return the time of a request for an archive that has no credentials, None if it must have some."""
    return None if archive.family in book.challenged else book.default_when


def _pass_through(request: _ParsedRequest, host: str, port: int, raw: str) -> PassTarget:
    """Return the target for a request to be passed through unchanged: its path and query are not interpreted."""
    path = raw if raw.startswith("/") else f"/{raw}"
    if not _PASSED_PATH.fullmatch(path):
        raise ClientError("the address contains invalid characters")
    return PassTarget(host, port, path, capture=_capture(request, read_credentials(request.authorization)))


def _tunnel(raw: str, book: AddressBook, authorization: str) -> TunnelTarget | Refusal:
    """Read a CONNECT request (RFC 9110, section 9.3.6).

    Allowed are hosts in `pass` and, if `connect` is on, an archive's own hosts for a client with the time live.
    """
    host, port = read_authority(raw, "https")
    if (host, port) in book.passes:
        credentials = read_credentials(authorization)
        return TunnelTarget(host, port, capture=_capture_of(book, credentials))
    if not book.connect:
        return Refusal(
            403,
            "CONNECT is off: write http:// for https:// in the sources",
            "Requests inside a tunnel cannot be pinned or stored; this proxy itself uses https upstream.",
            "To let a build reach that host unpinned, name it in `pass` as HOST:PORT.",
            is_foreign=True,
        )
    authority = format_authority(host, port, "https")
    owners = [route.archive for route in book.routes if route.owns(authority)]
    if port != _HTTPS_PORT or not owners:
        return _unknown_host(book)
    credentials = read_credentials(authorization)
    defaults = [_default_time(book, archive) for archive in owners]
    when = credentials.when if credentials else None if None in defaults else book.default_when
    if when is None:
        return _time_required()
    if when.match is not Match.LIVE:
        return Refusal(
            403,
            "a tunnel cannot be pinned: write http:// for https://",
            "CONNECT is for live only: the proxy cannot determine the time of an encrypted answer.",
            "Write http:// in the sources, or set http_proxy=http://live:x@HOST:3142 to get current files.",
            is_foreign=True,
        )
    return TunnelTarget(host, port, capture=_capture_of(book, credentials))


def _capture(request: _ParsedRequest, credentials: Credentials | None) -> str:
    """Return the capture of a request: named in the URL, otherwise in the credentials, otherwise the default or ''."""
    return request.capture or _capture_of(request.book, credentials)


def _capture_of(book: AddressBook, credentials: Credentials | None) -> str:
    return (credentials.capture if credentials else "") or book.default_capture


def _time_required() -> Refusal:
    """Return a 407 challenge.

    Some clients send credentials only after a challenge; others, without a password, would silently get current
    files.
    """
    return Refusal(
        407,
        "a time is required: http_proxy=http://20240601T000000Z:x@HOST:3142",
        "The request names no time, and an answer with current files would not be pinned.",
        f"{SPELLINGS} For current files, use http://live:x@HOST:3142",
        headers={"Proxy-Authenticate": f'Basic realm="{_REALM}"'},
    )


def _live_refused() -> Refusal:
    return Refusal(
        403,
        "live is refused here: request an instant",
        "This proxy serves pinned states only: its `allow` setting does not include live.",
        "Name a time, such as http_proxy=http://20240601T000000Z:x@HOST:3142",
    )


def _unknown_host(book: AddressBook) -> Refusal:
    return Refusal(
        403,
        "no archive of this proxy matches that host and path",
        f"To keep live data out of pinned builds, only configured archives are served, even live: {_list(book)}.",
        "Add the host under [archives] in the configuration, or name it in `pass` as HOST:PORT to reach it unpinned.",
        is_foreign=True,
    )


def _unknown_name(book: AddressBook) -> Refusal:
    return Refusal(404, "no archive or page of that name", f"The archives here are {_list(book)}.", _FORMS)


def _list(book: AddressBook) -> str:
    return ", ".join(sorted(book.names)) or "none"
