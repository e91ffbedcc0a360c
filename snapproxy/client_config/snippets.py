"""Shared parts of the texts for all clients: a snippet, and the form of a time in URLs and shell commands."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.core import time_spec
from snapproxy.core.model import Match, TimeSpec

DEFAULT_BASE = "http://127.0.0.1:3142"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text and the file for it (`path`, '' for a shell)."""

    path: str
    text: str


def user_name(time: TimeSpec) -> str:
    """Write a time in letters, digits, dots and hyphens, for the user name of a URL, a path segment or a shell word.

    RFC 3339 becomes the compact form, because an unescaped colon separates user and password.
    """
    if time.instant is None:
        return time.match.value
    suffix = "" if time.match is Match.AT else f".{time.match.value}"
    return time_spec.format_instant(time.instant) + suffix
