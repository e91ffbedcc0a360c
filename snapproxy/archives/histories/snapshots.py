"""Archives dumped at known instants by the software behind snapshot.debian.org.

Its JSON interface lists the dumps of a stretch of time. Where that fails, a folder asked for at any instant redirects to the
newest dump at or before it: less is learnt from that, but nothing false.
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
from snapproxy.core.resolve import resolve_listed
from snapproxy.core.resolve_observed import resolve_bracketed
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.errors import ClientError

#: Bytes of a timeline that are read. Twenty years at four dumps a day are 600 kB.
LONGEST_ANSWER = 4 << 20

_TIMESTAMPS = "/mr/timestamp/"
_FILE_CALL = "file"
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
# What devscripts, debbisect and debsbom ask the JSON interface with; no value of theirs needs an escape.
_PARAMETER = re.compile(r"(fileinfo|after|before|archive)=([0-9A-Za-z._-]{0,64})")
_FILE = re.compile(r"/file/([0-9a-f]{40})(?:/[^/]*)?\Z")
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# How far beyond a window is asked, for the snapshot that proves that the record had passed its end.
_BEYOND = 32 * 86400


class Snapshots:
    """The history named `snapshots`."""

    default_settings: HistorySettings | None = None
    native_names = frozenset({"mr", _FILE_CALL})
    is_observed = False

    def resolve(
        self, archive: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        """Settle `when` by the listed snapshots."""
        return resolve_listed(archive, when, windows, now)

    def id_of(self, instant: Instant) -> str:
        """Return the instant, spelt."""
        return format_instant(instant)

    def timeless(self, path: str) -> str | None:
        """Return None: every file is asked for by a time."""
        return None

    def resolve_seen(
        self, archive: Archive, when: TimeSpec, sighting: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        """Settle `when` inside a span through which the root stayed the same."""
        return resolve_bracketed(when, sighting, now)

    def timeline_urls(self, archive: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        """Return the listing first, then the folder whose redirect names one dump."""
        urls = []
        root = self.native_root(base)
        if root is not None:
            # Whether `after` and `before` include their own instant is documented nowhere: a second more is asked, and dropped.
            bounds = {"after": format_instant(need.start - 1), "before": format_instant(need.end + _BEYOND)}
            urls.append(f"{root}{_TIMESTAMPS}?{urlencode({'archive': _name(base), **bounds})}")
        if need.around is not None:
            # A second after the instant in question, so that a dump of that very instant is told by a redirect too (a 200
            # proves nothing: every error page of a proxy in between is one). Should that second be a dump, the instant itself.
            urls += [f"{base.rstrip('/')}/{format_instant(need.around + second)}/" for second in (1, 0)]
        return tuple(urls)

    def read_window(
        self, archive: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        """Return the window, narrower than needed when it was the redirect that answered."""
        parts = urlsplit(url)
        if parts.path.endswith(_TIMESTAMPS):
            return _listed(need, parse_qs(parts.query)["archive"][0], answer, now)
        return _redirected(need, parts.path, answer, now)

    def url(self, archive: Archive, base: str, snapshot: str, path: str) -> str:
        """Return `base/<snapshot>/<path>`."""
        return snapshot_url(base, snapshot, path, archive.scope)

    def service_url(self, base: str, path: str) -> str | None:
        """Return the call at the root of the service: `/mr/...` and `/file/...` stand beside `/archive/`."""
        root = self.native_root(base)
        return None if root is None else f"{root}{path}"

    def digest_in(self, url: str) -> str | None:
        """Read the SHA-1 of `.../file/<sha1>`, where the service redirects every file to."""
        found = _FILE.search(urlsplit(url).path)
        return None if found is None else found[1]

    def native_root(self, base: str) -> str | None:
        """Return the root of the service of a base `ROOT/archive/<name>`, None for a base of another shape."""
        root, _, _name = base.rstrip("/").rpartition("/")
        return root.removesuffix("/archive") if root.endswith("/archive") else None

    def native_names_of(self, archive: Archive) -> frozenset[str]:
        """Return the calls of the service: all archives have the same."""
        return self.native_names

    def read_native(self, archive: Archive, path: str, query: str | None) -> NativeFile | NativeCall:
        """Read a call, escaped anew and with its few known parameters sorted, so that one call has one key."""
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
            raise ClientError("the snapshot service is asked with fileinfo, archive, after, before, once each")
        return NativeCall(f"/{escape_path(path)}" + ("?" + "&".join(parameters) if parameters else ""))

    def read_snapshot_id(self, path: str) -> NativeFile | None:
        """Return None: ids are spelt as times."""
        return None

    def is_answer(self, url: str) -> bool:
        """Whether a redirect to `url` tells what was asked: the exact folder of a dump, not the file that holds a listing."""
        return self.digest_in(url) is None and urlsplit(url).path.endswith("/")


def _name(base: str) -> str:
    return base.rstrip("/").rpartition("/")[2]


def _listed(need: NeedWindow, name: str, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read `{"result": {"<archive>": ["<id>", ...]}}`; an archive without dumps in that time may be left out."""
    if answer.status != _OK or len(answer.body) > LONGEST_ANSWER:
        return None
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    result = said.get("result") if isinstance(said, dict) else None
    ids = result.get(name, []) if isinstance(result, dict) else None
    instants = _instants(ids) if isinstance(ids, list) else None
    if instants is None:
        return None
    inside = tuple(each for each in instants if need.start <= each < need.end)
    after = next((each for each in instants if each >= need.end), None)
    return Window(need.start, need.end, inside, asked=now, after=after)


def _redirected(need: NeedWindow, asked_path: str, answer: TimelineAnswer, now: Instant) -> Window | None:
    """Read which dump a folder was redirected to: the newest at or before the instant asked for, so none stands in between."""
    folder, _, asked_id = asked_path.rstrip("/").rpartition("/")
    # The service may send plain http to https and one of its names to another; the folder stays.
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
    """Read snapshot ids, in any order and however often told; None when one of them is none."""
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
