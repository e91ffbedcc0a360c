"""Canonical paths: the key in the store and the path sent upstream come from the same parser.

This module is independent of archives; `address` interprets the paths.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from snapproxy.core.model import LIVE
from snapproxy.errors import ClientError

LONGEST = 4096
"""Maximum length of a raw path, in bytes."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# An encoded slash, backslash, dot or NUL is a separator for one parser and a letter for another; such paths are
# refused.
_SEPARATOR = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_ENCODED_TWICE = re.compile(rb"%(?:2f|5c|2e|00)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def canonical_path(raw: str) -> str:
    """Decode a raw path once, and return it without its leading slash; a trailing slash is kept and means a folder.

    `raw` is the path as received (bytes that are not UTF-8 as surrogate escapes), without query or fragment. A segment
    `.` is dropped, as in RFC 3986, section 5.2.4: clients request `/repo/./root` in a flat repository.

    Raises ClientError for every path that two parsers could read as different files: `..`, empty segments, encoded
    separators, backslashes, broken escapes, control characters, bytes that are not UTF-8, more than `LONGEST` bytes.
    """
    try:
        data = raw.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ClientError("the path is not UTF-8") from None
    if len(data) > LONGEST:
        raise ClientError(f"the path is longer than {LONGEST} bytes")
    if _BAD_ESCAPE.search(data):
        raise ClientError("the path contains a broken percent escape")
    if b"?" in data or b"#" in data:
        raise ClientError("the path contains a query or a fragment")
    decoded = unquote_to_bytes(data)
    if b"\\" in decoded or _SEPARATOR.search(data) or _ENCODED_TWICE.search(decoded):
        raise ClientError("the path contains a backslash or an encoded separator")
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise ClientError("the path is not UTF-8") from None
    if _CONTROL.search(text):
        raise ClientError("the path contains control characters")
    return _without_dots(text.removeprefix("/"))


def refuse_query(query: str | None) -> None:
    """Raise ClientError if an address that takes no query string has one (None: without '?')."""
    if query is not None:
        raise ClientError("this address does not accept a query string")


def names_a_file(path: str) -> bool:
    """Return whether `path` is one that `canonical_path` returns for a file.

    Paths read from indexes and records must follow the same rules as the paths that clients request.
    """
    raw = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    try:
        return canonical_path(raw) == path and not f"/{path}".endswith("/")
    except ClientError:
        return False


def _without_dots(text: str) -> str:
    *folders, last = text.split("/")
    if "" in folders:
        raise ClientError("the path contains an empty segment (two slashes in a row)")
    if ".." in folders or last == "..":
        raise ClientError("the path contains a '..' segment")
    return "/".join([*(name for name in folders if name != "."), "" if last == "." else last])


def escape_path(path: str) -> str:
    """Write a canonical path for a URL: everything except RFC 3986's unreserved characters and slashes is escaped.

    `+` is escaped too: object stores behind mirrors read a literal one as a space (clients escape it for the same
    reason).
    """
    return quote(path, safe="/")


def snapshot_url(base: str, snapshot: str, path: str, scope: int = 0) -> str:
    """Return the address of canonical `path` under an upstream `base` at `snapshot`.

    The snapshot id follows the first `scope` segments of the path.
    """
    names = path.split("/")
    before = [name for name in names[:scope] if name]
    dated = [] if snapshot == LIVE else [snapshot]
    return f"{base.rstrip('/')}/{escape_path('/'.join([*before, *dated, *(names[scope:] or [''])]))}"
