"""Parses JSON documents from untrusted sources in bounded memory, with the place of every fault: `files[12].sha256`.

The reader of a document (`lock_reader`) defines its members.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from snapproxy.errors import RecordError
from snapproxy.formats.strict_json import Members, parse

LARGEST = 64 * 2**20
"""Maximum size of a document in bytes."""

MOST = 200_000
"""Maximum number of arrays and objects, counted by their brackets: their size in memory is many times that of their
text."""

_SCALARS_EACH = 16
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """The kind of a document, for error messages: its name within a sentence, and the hint for a bad document."""

    name: str
    hint: str

    def error(self, why: str) -> RecordError:
        """Return the error for a document that cannot be read."""
        return RecordError(f"The {self.name} cannot be read", why=why, hint=self.hint)


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value of a document, and its place there."""

    raw: Any
    place: str
    document: JsonDocument

    def members(self, *names: str) -> tuple[JsonValue, ...]:
        """Return the members of an object in the order of `names`. It must have exactly these, each once."""
        if not isinstance(self.raw, Members):
            raise self.wrong("expected an object")
        if self.raw.repeated is not None:
            raise self._member(self.raw.repeated).wrong("is repeated", shown=False)
        for name in names:
            if name not in self.raw:
                raise self._member(name).wrong("is missing", shown=False)
        for name in self.raw:
            if name not in names:
                raise self._member(name).wrong("is not a known member", shown=False)
        return tuple(self._member(name, self.raw[name]) for name in names)

    def items(self) -> Iterator[JsonValue]:
        """Yield the items of an array."""
        if not isinstance(self.raw, list):
            raise self.wrong("expected an array")
        for at, raw in enumerate(self.raw):
            yield JsonValue(raw, f"{self.place}[{at}]", self.document)

    def text(self, form: re.Pattern[str], expected: str) -> str:
        """Return a string that `form` matches fully; `expected` describes it in the error."""
        if not isinstance(self.raw, str) or not form.fullmatch(self.raw):
            raise self.wrong(f"expected {expected}")
        return self.raw

    def integer(self, first: int, last: int) -> int:
        """Return an integer from `first` to `last`; 1.0 and true are not accepted."""
        if type(self.raw) is not int or not first <= self.raw <= last:
            raise self.wrong(f"expected an integer from {first} to {last}")
        return self.raw

    def wrong(self, problem: str, *, shown: bool = True) -> RecordError:
        """Return the error for this value; `shown` adds the value itself, in ASCII and truncated."""
        found = ""
        if shown and isinstance(self.raw, str | int | float | None):
            text = ascii(self.raw)
            found = f", not {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"
        return self.document.error(f"{self.place or 'the document'}: {problem}{found}.")

    def _member(self, name: str, raw: Any = None) -> JsonValue:
        shown = name if name.isascii() and name.isidentifier() and len(name) <= _SHOWN else ascii(name)[:_SHOWN]
        return JsonValue(raw, f"{self.place}.{shown}".removeprefix("."), self.document)


def load(data: bytes, document: JsonDocument) -> JsonValue:
    """Parse a whole document.

    Raises RecordError for invalid JSON or UTF-8, and for a document above the limits of size.
    """
    if len(data) > LARGEST:
        raise document.error(f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    openings = data.count(b"{") + data.count(b"[")
    if openings > MOST or data.count(b",") > MOST * _SCALARS_EACH:
        raise document.error(f"It has more than {MOST} entries.")
    try:
        return JsonValue(parse(data), "", document)
    except ValueError as error:
        raise document.error(str(error)) from None
