"""Scopes of a token: the requests that it permits. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from snapproxy.core.credentials import is_capture_name

READ, CAPTURE, ADMIN = "read", "capture", "admin"
LONGEST = 80
"""Maximum length of a written scope."""


@dataclass(frozen=True, slots=True)
class RequestNeed:
    """The need of a request: to read files, to record into `capture` ('' for none), or the pages for operators."""

    capture: str = ""
    is_admin: bool = False


def canonical_scope(text: str) -> str:
    """Return a scope as it is stored: `read`, `admin`, or `capture:PREFIX`. Raises ValueError for other text."""
    kind, mark, prefix = text.partition(":")
    is_plain = not mark and kind in (READ, ADMIN)
    is_capture = kind == CAPTURE and mark and len(text) <= LONGEST and (not prefix or is_capture_name(f"{prefix}0"))
    if not is_plain and not is_capture:
        raise ValueError(f'"{READ}", "{ADMIN}", or "{CAPTURE}:PREFIX" for the captures whose names begin with PREFIX')
    return text


def permits(scopes: Iterable[str], need: RequestNeed) -> bool:
    """Return whether scopes permit a request. Every token may read; `admin` permits everything."""
    if ADMIN in scopes:
        return True
    if need.is_admin:
        return False
    return not need.capture or any(
        kind == CAPTURE and need.capture.startswith(prefix)
        for kind, _, prefix in (scope.partition(":") for scope in scopes)
    )
