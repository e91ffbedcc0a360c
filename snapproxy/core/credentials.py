"""Read the time from proxy credentials: `http_proxy=http://<time>:<rest>@HOST:3142`.

This module reads one header. `address` decides which requests need a time and refuses those without one.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass

from snapproxy.core.model import TimeSpec
from snapproxy.core.time_spec import SPELLINGS, looks_like_time, parse_time
from snapproxy.errors import ClientError

_LONGEST = 1024
_CAPTURE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TOKEN_MARK = ".snp-"  # noqa: S105 # the prefix of a token, not a token
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,256}")
_NO_CAPTURE = "x"
_COLON = re.compile("%3a", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The contents of proxy credentials: the time, and the capture to record into ('' for none).

    They never include the token (`token_of`).
    """

    when: TimeSpec
    capture: str = ""


def is_capture_name(text: str) -> bool:
    """Return whether a capture may have this name; `x` means no capture, and `.snp-` begins a token."""
    return _CAPTURE.fullmatch(text) is not None and text != _NO_CAPTURE and _TOKEN_MARK not in text


def read_credentials(header: str) -> Credentials | None:
    """Read a Proxy-Authorization header; None if it is absent or contains the empty pair that wget2 sends.

    Raises ClientError, with the accepted forms of a time in its hint, if it is not a time and its rest.
    """
    if not header:
        return None
    joined = _COLON.sub(":", _decode(header))
    if joined in {"", ":"}:
        return None
    # User and password are joined by ':', which RFC 3339 times contain as well, and busybox sends no password at all.
    # Therefore the time is the longest prefix, up to a colon or the end, that is a time.
    ends = [len(joined), *(found.start() for found in re.finditer(":", joined))]
    for end in sorted(ends, reverse=True):
        if looks_like_time(joined[:end]):
            return Credentials(when=parse_time(joined[:end]), capture=_capture(joined[end + 1 :]))
    raise _malformed("the proxy user name is not a time")


def token_of(header: str) -> str:
    """Return the token in a Proxy-Authorization header, '' if it has none or is malformed."""
    try:
        before, _, token = _decode(header).rpartition(_TOKEN_MARK)
    except ClientError:
        return ""
    return token if before else ""


def _decode(header: str) -> str:
    """Return `user:password` (RFC 7617, section 2)."""
    scheme, _, pair = header.strip().partition(" ")
    if scheme.lower() != "basic" or len(pair) > _LONGEST:
        raise _malformed("the proxy credentials are not Basic authentication")
    try:
        return b64decode(pair.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _malformed("the proxy credentials are not Basic authentication") from None


def _capture(rest: str) -> str:
    """Return the capture after the time, without the token that may follow it."""
    name, mark, token = rest.partition(_TOKEN_MARK)
    is_known = name == _NO_CAPTURE or is_capture_name(name) or not rest
    if not is_known or (mark and not _TOKEN.fullmatch(token)):
        raise _malformed("the proxy password is neither x nor the name of a capture")
    return "" if name == _NO_CAPTURE else name


def _malformed(reason: str) -> ClientError:
    return ClientError(
        reason,
        why="The proxy address contains the time: http_proxy=http://20240601T000000Z:x@HOST:3142",
        hint=f"{SPELLINGS} The password is x, or the name of a capture: lower-case letters, digits, '.', '_', '-'.",
    )
