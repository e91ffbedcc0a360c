"""Canonical paths: of requests, of the names in indexes, and of requests sent upstream, by the same rules.

The file that an index lists is therefore the file that a client's request reaches. This module is independent of
archives; `address` interprets the paths.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from snapproxy.core.model import LIVE
from snapproxy.errors import ArchiveDataError, ClientError

LONGEST = 4096
"""Maximum length of a raw path, in bytes."""

LONGEST_NAME = 2048
"""Maximum length of a name in an index, in characters."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# An encoded slash, backslash, dot or NUL is a separator for one parser and a letter for another; such paths are
# refused.
_SEPARATOR = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_ENCODED_TWICE = re.compile(rb"%(?:2f|5c|2e|00)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def canonical_path(raw: str) -> str:
    """Decode a raw path once, and return it without its leading slash; a trailing slash is kept and means a folder.

    `raw` is the path as received (bytes that are not UTF-8 as surrogate escapes), without query or fragment. A segment
    `.` is dropped, as in RFC 3986, section 5.2.4: clients request `/repo/./root` in a flat repository. An empty segment
    is dropped as well: clients append names such as `/pool/x` and `pool//x` unchanged, and the servers of archives
    (nginx, Apache, lighttpd) merge the slashes.

    Raises ClientError for every path that two parsers could read as different files: `..`, encoded separators,
    backslashes, broken escapes, control characters, bytes that are not UTF-8, more than `LONGEST` bytes.
    """
    *folders, last = _decoded(raw).split("/")
    if ".." in folders or last == "..":
        raise ClientError("the path contains a '..' segment")
    return "/".join([*(name for name in folders if name not in {"", "."}), "" if last == "." else last])


def listed_path(folder: str, name: str) -> str:
    """Return the path of a file that an index names `name`, relative to `folder` ('' or with a trailing slash).

    `name` is not escaped, and clients append it to the address of the folder unchanged: the same segments are dropped
    as in `canonical_path`. Raises ArchiveDataError for a name that no request can reach, or that leaves the archive.
    """
    steps = [step for step in name.split("/") if step not in {"", "."}]
    is_unclean = "\\" in name or _CONTROL.search(name) or ("%" in name and _ENCODED_TWICE.search(name.encode()))
    if not steps or ".." in steps or name.endswith("/") or len(name) > LONGEST_NAME or is_unclean:
        raise _outside(name)
    return folder + "/".join(steps)


def referenced_path(folder: str, reference: str) -> str:
    """Return the path of a file that an index names by a URL reference relative to `folder`.

    Escapes are decoded, and a segment `..` leads to the folder above, as clients resolve references before they send a
    request (RFC 3986, section 5.2.4). Raises ArchiveDataError as `listed_path`.
    """
    try:
        text = _decoded(reference)
    except ClientError as error:
        raise _outside(reference) from error
    path: list[str] = []
    for step in (folder + text).split("/"):
        if step == ".." and not path:
            raise _outside(reference)
        if step == "..":
            path.pop()
        elif step not in {"", "."}:
            path.append(step)
    if not path or text.endswith("/") or text.rpartition("/")[2] in {"", ".", ".."} or "://" in text:
        raise _outside(reference)
    return "/".join(path)


def _outside(name: str) -> ArchiveDataError:
    return ArchiveDataError("An index names a path outside its archive", why=f"The path: {name[:140]!r}.")


def _decoded(raw: str) -> str:
    """Return the decoded characters of a raw path. Raises ClientError for the characters that are refused."""
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
    return text


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
