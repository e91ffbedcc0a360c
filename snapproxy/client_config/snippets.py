"""What every client's texts share: a snippet, and how a *when* is spelled where a client carries it."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.core import time_spec
from snapproxy.core.model import Match, TimeSpec

DEFAULT_BASE = "http://127.0.0.1:3142"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text and the file it belongs into (`path`, '' for a shell)."""

    path: str
    text: str


def user_name(time: TimeSpec) -> str:
    """Spell a *when* in letters, digits, dots and hyphens: fit for a URL's user name, a path segment and a shell word alike.

    An unescaped colon would split user from password, so RFC 3339 becomes the compact form.
    """
    if time.instant is None:
        return time.match.value
    suffix = "" if time.match is Match.HELD else f".{time.match.value}"
    return time_spec.format_instant(time.instant) + suffix
