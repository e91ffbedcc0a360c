"""The time as proxy credentials carry it: `http_proxy=http://<when>:<rest>@HOST:3142`.

Reads one header. Which request needs a time, and what refuses when none came, is `address`'s business.
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
_TOKEN_MARK = ".snp-"  # noqa: S105 # what a token begins with, not one
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,256}")
_NO_CAPTURE = "x"
_COLON = re.compile("%3a", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client's proxy address says: the time, and the capture it records into ('' for none). Never the token."""

    when: TimeSpec
    capture: str = ""


def is_capture_name(text: str) -> bool:
    """Whether a capture may bear this name; `x` stands for no capture, and `.snp-` begins a token."""
    return _CAPTURE.fullmatch(text) is not None and text != _NO_CAPTURE and _TOKEN_MARK not in text


def read_credentials(header: str) -> Credentials | None:
    """Read a Proxy-Authorization header; None when it is absent or holds the empty pair that wget2 sends.

    Raises ClientError, with the accepted spellings in its hint, for anything that is not a time and its rest.
    """
    if not header:
        return None
    joined = _COLON.sub(":", _decode(header))
    if joined in {"", ":"}:
        return None
    # User and password arrive joined by ':', which RFC 3339 uses as well, and busybox sends no password at all:
    # so the longest beginning that is a time, up to a colon or the end, is the time.
    ends = [len(joined), *(found.start() for found in re.finditer(":", joined))]
    for end in sorted(ends, reverse=True):
        if looks_like_time(joined[:end]):
            return Credentials(when=parse_time(joined[:end]), capture=_capture(joined[end + 1 :]))
    raise _malformed("the proxy user name is not a time")


def _decode(header: str) -> str:
    """Return `user:password` (RFC 7617, section 2)."""
    scheme, _, pair = header.strip().partition(" ")
    if scheme.lower() != "basic" or len(pair) > _LONGEST:
        raise _malformed("the proxy credentials are not Basic ones")
    try:
        return b64decode(pair.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _malformed("the proxy credentials are not Basic ones") from None


def _capture(rest: str) -> str:
    """Return the capture that stands behind the time; the token behind that is looked at and dropped."""
    name, mark, token = rest.partition(_TOKEN_MARK)
    is_known = name == _NO_CAPTURE or is_capture_name(name) or not rest
    if not is_known or (mark and not _TOKEN.fullmatch(token)):
        raise _malformed("the proxy password is neither x nor the name of a capture")
    return "" if name == _NO_CAPTURE else name


def _malformed(reason: str) -> ClientError:
    return ClientError(
        reason,
        why="The proxy address carries the time: http_proxy=http://20240601T000000Z:x@HOST:3142",
        hint=f"{SPELLINGS} The password is x, or a capture's name: lower-case letters, digits, '.', '_', '-'.",
    )
