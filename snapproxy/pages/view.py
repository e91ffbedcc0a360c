"""The result of a view, tables in it, and how values are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.filesize import decimal

from snapproxy.core.model import Instant
from snapproxy.errors import ClientError

Cell = str | Mapping[str, str]
"""The text of a cell of a table; with `href`, a link; with `code`, a path or a digest."""


@dataclass(frozen=True, slots=True)
class View:
    """A page without its form. `data` are JSON values for programs; `shown` are values for the template alone.

    `section`: the entry of the navigation that it belongs to.
    """

    template: str
    section: str
    title: str
    data: Mapping[str, Any]
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileToDownload:
    """A file to download: its name, type and bytes."""

    name: str
    media_type: str
    data: bytes


class NoSuchPageError(ClientError):
    """The address has no page."""

    status = 404


def table(
    name: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str = "None."
) -> dict[str, Any]:
    """Return a table for the template and the script. A column whose name begins with `#` has numbers."""
    return {
        "name": name,
        "caption": caption,
        "columns": [{"label": each.removeprefix("#"), "is_number": each.startswith("#")} for each in columns],
        "rows": [list(row) for row in rows],
        "empty": empty,
    }


def code(text: str) -> Mapping[str, str]:
    """Return a cell with a path, an id or a digest."""
    return {"text": text, "code": "1"}


def link(text: str, href: str) -> Mapping[str, str]:
    """Return a cell with a link to a page of the service. `href` is escaped already."""
    return {"text": text, "href": href}


def size(count: int) -> str:
    """Write a number of bytes."""
    return "1 byte" if count == 1 else decimal(count)


def number(count: int) -> str:
    """Write a number."""
    return f"{count:,}"


def counted(count: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def share(part: float, whole: float) -> str:
    """Write a share in per cent; a dash without a whole."""
    return f"{part / whole:.1%}" if whole > 0 else "–"  # noqa: RUF001 # the typographic sign for no value


def moment(at: Instant) -> str:
    """Write an instant for people, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Write a time span in its two largest units."""
    left = max(0, round(seconds))
    words: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or (unit == "s" and not words):
            words.append(f"{count} {unit}")
    return " ".join(words[:2])
