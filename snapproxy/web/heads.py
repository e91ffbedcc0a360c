"""The heads of answers, as values and as bytes. Pure; what is answered is decided in `replies`."""

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
    """An answer's head, and its body where that is a text of ours.

    `length` counts the body's bytes, None while nobody knows. `fields` says nothing of framing, connection, date or Via:
    those belong to the wire. `closes`: the connection must not be used again.
    """

    status: int
    reason: str
    fields: Fields = ()
    length: int | None = 0
    text: bytes = b""
    closes: bool = False

    @property
    def is_bodiless(self) -> bool:
        """Whether this status has no body whatever was asked (RFC 9110 section 6.4.1)."""
        return self.status in {204, 304}


def plain(text: str) -> str:
    """Return `text` with everything but printable ASCII replaced, fit for a header field, a log line or a terminal."""
    return _NOT_PRINTABLE.sub("?", text)


def without_controls(text: str) -> str:
    """Return `text` on one line: control characters are replaced, letters of any script stay."""
    return _CONTROLS.sub("?", text)


def render(status: int, reason: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Write a head. No value can end its line: control characters are replaced, and the reason is at most 80 of ASCII."""
    lines = [f"HTTP/1.1 {status} {plain(reason)[:_REASON_LENGTH]}"]
    lines += [f"{name}: {without_controls(value)}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
