"""Archives dumped at known instants by the software of snapshot.debian.org.

Its JSON interface lists the dumps of a period. If that fails, a folder requested at any instant redirects to the newest
dump at or before it, which gives less, but correct, information.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from snapproxy.core.history import NativeCall, NativeFile, TimelineAnswer
from snapproxy.core.model import (
    Archive,
    HistorySettings,
    Instant,
    NeedWindow,
    ObservedRoot,
    Refusal,
    Resolved,
    TimeSpec,
    Window,
)
from snapproxy.core.paths import escape_path, refuse_query, snapshot_url
from snapproxy.core.resolve import MAX_WINDOWS, resolve_listed
from snapproxy.core.resolve_observed import resolve_bracketed
from snapproxy.core.root_checks import CLOCK_SLACK
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.core.timeline import Timeline
from snapproxy.errors import ClientError

#: Maximum size of a timeline, in bytes. Twenty years at four dumps a day are 600 kB.
LONGEST_ANSWER = 4 << 20

_TIMESTAMPS = "/mr/timestamp/"
_FILE_CALL = "file"
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
# The parameters that devscripts, debbisect and debsbom use; their values need no escape.
_PARAMETER = re.compile(r"(fileinfo|after|before|archive)=([0-9A-Za-z._-]{0,64})")
_FILE = re.compile(r"/file/([0-9a-f]{40})(?:/[^/]*)?\Z")
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Seconds after a window that are requested too, for the snapshot that proves that the archive was still recorded after
# its end.
_BEYOND = 32 * 86400


class Snapshots:
    """The history named `snapshots`."""

    default_settings: HistorySettings | None = None
    native_names = frozenset({"mr", _FILE_CALL})
    root_date_slack = CLOCK_SLACK
    is_observed = False

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Resolve `when` by the listed snapshots."""
        return resolve_listed(archive, when, windows, now)

    def newest(
        self, archive: Archive, instant: Instant, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Instant | Refusal | NeedWindow | None:
        """Return the newest listed snapshot at or before `instant`."""
        return Timeline.of(archive, windows.values(), now).at_or_before(instant)

    def max_windows(self, archive: Archive) -> int:
        """Return the calendar's windows, and two for each bad snapshot: a redirect names one snapshot at a time."""
        return MAX_WINDOWS + 2 * len(archive.bad)

    def id_of(self, instant: Instant) -> str:
        """Return the formatted instant."""
        return format_instant(instant)

    def timeless(self, path: str) -> str | None:
        """Return None: every file is part of a snapshot."""
        return None

    def resolve_observed_root(
        self, archive: Archive, when: TimeSpec, observed: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Resolve `when` within a span in which the root did not change."""
        return resolve_bracketed(when, observed, now)

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return the JSON listing first, then the folder that redirects to one dump."""
        urls = []
        root = self.native_root(base)
        if root is not None:
            # It is not documented whether `after` and `before` include their own instant: a second more is requested.
            bounds = {"after": format_instant(need.start - 1), "before": format_instant(need.end + _BEYOND)}
            urls.append(f"{root}{_TIMESTAMPS}?{urlencode({'archive': _name(base), **bounds})}")
        if need.around is not None:
            # First the second after the instant, so that a dump of exactly this instant is found by a redirect too (a
            # 200 proves nothing: an error page of a proxy in between has it too). If that second is a dump, the
            # instant.
            urls += [f"{base.rstrip('/')}/{format_instant(need.around + second)}/" for second in (1, 0)]
        return tuple(urls)

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return the window, narrower than needed if a redirect was the answer."""
        parts = urlsplit(url)
        if parts.path.endswith(_TIMESTAMPS):
            return _listed(need, parse_qs(parts.query)["archive"][0], answer, now)
        return _redirected(need, parts.path, answer, now)

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return `base/<snapshot>/<path>`."""
        return snapshot_url(base, snapshot, path, archive.scope)

    def service_url(self, base: str, path: str) -> str | None:
        """Return the address at the root of the service: `/mr/...` and `/file/...` are siblings of `/archive/`."""
        root = self.native_root(base)
        return None if root is None else f"{root}{path}"

    def digest_in(self, url: str) -> str | None:
        """Read the SHA-1 of `.../file/<sha1>`, to which the service redirects every file."""
        found = _FILE.search(urlsplit(url).path)
        return None if found is None else found[1]

    def native_root(self, base: str) -> str | None:
        """Return the root of the service for a base `ROOT/archive/<name>`, None for a base of another form."""
        root, _, _name = base.rstrip("/").rpartition("/")
        return root.removesuffix("/archive") if root.endswith("/archive") else None

    def native_names_of(self, archive: Archive) -> frozenset[str]:
        """Return the first segments of the service's calls, the same for all archives."""
        return self.native_names

    def read_native(self, archive: Archive, path: str, query: str | None) -> NativeFile | NativeCall:
        """Read a call. It is escaped anew and its known parameters are sorted, so that one call has one key."""
        name, _, rest = path.partition("/")
        if not rest:
            raise ClientError("the snapshot service has no call of that name")
        if name == _FILE_CALL:
            refuse_query(query)
            sha1, slash, file_name = rest.partition("/")
            if not _SHA1.fullmatch(sha1) or "/" in file_name or bool(slash) != bool(file_name):
                raise ClientError("a file is named by its SHA-1, 40 hex digits")
            return NativeCall(f"/{_FILE_CALL}/{sha1.lower()}{slash}{escape_path(file_name)}", sha1=sha1.lower())
        parameters = sorted(query.split("&")) if query else []
        names = [found[1] if (found := _PARAMETER.fullmatch(each)) else "" for each in parameters]
        if not all(names) or len(set(names)) != len(names):
            raise ClientError("the snapshot service takes fileinfo, archive, after and before, once each")
        return NativeCall(f"/{escape_path(path)}" + ("?" + "&".join(parameters) if parameters else ""))

    def read_snapshot_id(self, path: str) -> NativeFile | None:
        """Return None: ids are written as times."""
        return None

    def is_answer(self, url: str) -> bool:
        """Return whether a redirect to `url` is the answer: the folder of a dump, not the file with a listing."""
        return self.digest_in(url) is None and urlsplit(url).path.endswith("/")


def _name(base: str) -> str:
    return base.rstrip("/").rpartition("/")[2]


def _listed(need: NeedWindow, name: str, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read `{"result": {"<archive>": ["<id>", ...]}}`; an archive without dumps in the period may be missing."""
    if answer.status != _OK or len(answer.body) > LONGEST_ANSWER:
        return None
    try:
        decoded = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    result = decoded.get("result") if isinstance(decoded, dict) else None
    ids = result.get(name, []) if isinstance(result, dict) else None
    instants = _instants(ids) if isinstance(ids, list) else None
    if instants is None:
        return None
    inside = tuple(each for each in instants if need.start <= each < need.end)
    after = next((each for each in instants if each >= need.end), None)
    return Window(need.start, need.end, inside, asked=now, after=after)


def _redirected(need: NeedWindow, asked_path: str, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read the dump that a folder was redirected to: the newest at or before the instant, with none between the two."""
    folder, _, asked_id = asked_path.rstrip("/").rpartition("/")
    # The service may redirect plain http to https and one of its names to another; the folder is the same.
    there, _, snapshot = _path_of(answer.location).rstrip("/").rpartition("/")
    if answer.status not in _REDIRECTS or need.around is None or there != folder or snapshot == asked_id:
        return None
    instants = _instants([snapshot])
    if not instants or instants[0] > need.around:
        return None
    return Window(instants[0], need.around + 1, instants, asked=now)


def _path_of(location: str) -> str:
    try:
        return urlsplit(location).path
    except ValueError:
        return ""


def _instants(ids: Iterable[Any]) -> tuple[Instant, ...] | None:
    """Read snapshot ids, in any order and possibly repeated; None if one of them is invalid."""
    try:
        return tuple(sorted({_instant(each) for each in ids}))
    except ClientError:
        return None


def _instant(text: Any) -> Instant:
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise ClientError("that is not a snapshot id")
    instant = parse_time(text).instant
    if instant is None:
        raise ClientError("that is not a snapshot id")
    return instant
