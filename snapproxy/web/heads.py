"""The heads of answers, as values and as bytes. Pure; `replies` decides their contents."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Fields = tuple[tuple[str, str], ...]

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_REASON_LENGTH = 80


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """The head of an answer, and its body if that is a text of snapproxy.

    `length` is the size of the body in bytes, None if unknown. `fields` has no framing, Connection, Date or Via; those
    are added by `ResponseWriter`. `closes`: the connection must not be used again.
    """

    status: int
    reason: str
    fields: Fields = ()
    length: int | None = 0
    text: bytes = b""
    closes: bool = False

    @property
    def is_bodiless(self) -> bool:
        """Whether this status has no body for any method (RFC 9110 section 6.4.1)."""
        return self.status in {204, 304}


def plain(text: str) -> str:
    """Return `text` for a header field, a log line or a terminal: all but printable ASCII is replaced by `?`."""
    return _NOT_PRINTABLE.sub("?", text)


def without_controls(text: str) -> str:
    """Return `text` on one line: control characters are replaced by `?`, letters of any script stay."""
    return _CONTROLS.sub("?", text)


def render(status: int, reason: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a head as bytes.

    No value can end its line: control characters are replaced. The reason is at most 80 ASCII characters.
    """
    lines = [f"HTTP/1.1 {status} {plain(reason)[:_REASON_LENGTH]}"]
    lines += [f"{name}: {without_controls(value)}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
