"""Reads documents of JSON that others wrote, in bounded memory, and names the place of every fault: `files[12].sha256`.

Which members a document has is its reader's business (`lock_reader`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from snapproxy.errors import RecordError
from snapproxy.formats.strict_json import Members, parse

LARGEST = 64 * 2**20
"""Bytes a document may have."""

MOST = 200_000
"""Arrays and objects a document may have, counted by their brackets: what they cost in memory is many times their text."""

_SCALARS_EACH = 16
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """What kind of document is read, for messages: its name in a sentence, and what to do about a bad one."""

    name: str
    hint: str

    def error(self, why: str) -> RecordError:
        """Return the error that says why the document cannot be read."""
        return RecordError(f"The {self.name} cannot be read", why=why, hint=self.hint)


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value of a document, and where it stands."""

    raw: Any
    place: str
    document: JsonDocument

    def members(self, *names: str) -> tuple[JsonValue, ...]:
        """Return the members of an object in the order asked for. It must have exactly these, each once."""
        if not isinstance(self.raw, Members):
            raise self.wrong("an object is wanted")
        if self.raw.repeated is not None:
            raise self._member(self.raw.repeated).wrong("stands there twice", shown=False)
        for name in names:
            if name not in self.raw:
                raise self._member(name).wrong("is missing", shown=False)
        for name in self.raw:
            if name not in names:
                raise self._member(name).wrong("is not known here", shown=False)
        return tuple(self._member(name, self.raw[name]) for name in names)

    def items(self) -> Iterator[JsonValue]:
        """Yield the items of an array."""
        if not isinstance(self.raw, list):
            raise self.wrong("an array is wanted")
        for at, raw in enumerate(self.raw):
            yield JsonValue(raw, f"{self.place}[{at}]", self.document)

    def text(self, form: re.Pattern[str], wanted: str) -> str:
        """Return a string that `form` matches whole; `wanted` says in words what that is."""
        if not isinstance(self.raw, str) or not form.fullmatch(self.raw):
            raise self.wrong(f"{wanted} is wanted")
        return self.raw

    def integer(self, first: int, last: int) -> int:
        """Return a whole number from `first` to `last`; 1.0 and true are none."""
        if type(self.raw) is not int or not first <= self.raw <= last:
            raise self.wrong(f"a whole number from {first} to {last} is wanted")
        return self.raw

    def wrong(self, says: str, *, shown: bool = True) -> RecordError:
        """Return the error that this value is; `shown`: with the value itself, in ASCII and cut short."""
        found = ""
        if shown and isinstance(self.raw, str | int | float | None):
            text = ascii(self.raw)
            found = f", not {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"
        return self.document.error(f"{self.place or 'the document'}: {says}{found}.")

    def _member(self, name: str, raw: Any = None) -> JsonValue:
        told = name if name.isascii() and name.isidentifier() and len(name) <= _SHOWN else ascii(name)[:_SHOWN]
        return JsonValue(raw, f"{self.place}.{told}".removeprefix("."), self.document)


def load(data: bytes, document: JsonDocument) -> JsonValue:
    """Parse a whole document. Raises RecordError for what is no JSON, is no UTF-8, or is larger than any honest document."""
    if len(data) > LARGEST:
        raise document.error(f"It has {len(data)} bytes; {LARGEST} are the most that are read.")
    openings = data.count(b"{") + data.count(b"[")
    if openings > MOST or data.count(b",") > MOST * _SCALARS_EACH:
        raise document.error(f"It has more than {MOST} entries.")
    try:
        return JsonValue(parse(data), "", document)
    except ValueError as error:
        raise document.error(str(error)) from None
