"""Read JSON of other programs (manifests, credentials, locks) strictly.

- `parse` parses a document of any shape and marks repeated keys.
- `read_object` parses an object whose members the caller reads. It refuses values on which JSON readers differ.
- `load` parses a document with a fixed shape in bounded memory, and names the place of every fault: `files[12].sha256`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from snapproxy.errors import ArchiveDataError, RecordError

EXACT = 1 << 53
"""Integers below this limit are exact in readers that only have floating-point numbers (RFC 8785, section 3.2.2.3)."""

LARGEST = 64 * 2**20
"""Maximum size of a document for `load`, in bytes."""

MOST = 200_000
"""Maximum number of arrays and objects for `load`, counted by their opening brackets.

Parsed, they need many times the memory of their text.
"""

_SCALARS_EACH = 16
_SHOWN = 60


class Members(dict[str, Any]):
    """A parsed object. `repeated` is a key that occurs twice (readers differ on which one they use), usually None."""

    repeated: str | None = None


def parse(data: bytes) -> Any:
    """Parse a whole document, objects as `Members`. Raises ValueError; its text is a sentence that names the fault."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_members)
    except UnicodeDecodeError as error:
        raise ValueError(f"It is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"It is not valid JSON: line {error.lineno}, column {error.colno}.") from None
    except ValueError:  # Python's own bound on the digits of a number
        raise ValueError("It contains a number with thousands of digits.") from None
    except RecursionError:
        raise ValueError("Its arrays or objects are nested too deeply.") from None


def _members(pairs: list[tuple[str, Any]]) -> Members:
    found = Members(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        found.repeated = next(name for name in counts if counts[name] > 1)
    return found


def check_exact(value: Any) -> None:
    """Raise TypeError for a value that JSON readers may interpret differently: it has no canonical form.

    Allowed are objects without repeated keys, arrays, strings, integers below `EXACT`, booleans and null.
    """
    match value:
        case Members(repeated=str(name)):
            raise TypeError(f"The key {name[:40]!a} occurs twice.")
        case dict():
            for key, each in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"{key!r} is not a string, so it cannot be a key.")
                check_exact(each)
        case list() | tuple():
            for each in value:
                check_exact(each)
        case bool() | str() | None:
            pass
        case int() if abs(value) < EXACT:
            pass
        case int():
            raise TypeError("It contains an integer of 2^53 or more, which some JSON readers round.")
        case _:
            kind = type(value).__name__
            raise TypeError(
                f"It contains a {kind}; only objects, arrays, strings, integers, booleans and null are allowed."
            )


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse an object. `what` names the document in the message of an ArchiveDataError.

    Raises ArchiveDataError if the document is not a JSON object, repeats a key, contains a fraction, an integer of
    2**53 or more, or half a surrogate pair, or is nested too deeply.
    """
    try:
        value = parse(data)
        check_exact(value)
        json.dumps(value, ensure_ascii=False).encode()  # raises for half a surrogate pair
    except RecursionError:
        raise _unreadable(what, "Its arrays or objects are nested too deeply.") from None
    except UnicodeEncodeError:
        raise _unreadable(what, "A string contains half a surrogate pair, which is not valid Unicode.") from None
    except (ValueError, TypeError) as error:
        raise _unreadable(what, str(error)) from None
    if not isinstance(value, dict):
        raise _unreadable(what, "It is not a JSON object.")
    return value


def _unreadable(what: str, why: str) -> ArchiveDataError:
    return ArchiveDataError(f"{what} cannot be read", why=why)


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """The kind of a document, for messages: its name within a sentence, and the hint for an invalid document."""

    name: str
    hint: str

    def error(self, why: str) -> RecordError:
        """Return the error with the reason why the document cannot be read."""
        return RecordError(f"The {self.name} cannot be read", why=why, hint=self.hint)


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value of a document, and its place in the document."""

    raw: Any
    place: str
    document: JsonDocument

    def members(self, *names: str) -> tuple[JsonValue, ...]:
        """Return the members of an object in the order of `names`.

        The object must have exactly these members, each once.
        """
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
        """Return a string that matches `form` as a whole; `expected` describes the form in the error."""
        if not isinstance(self.raw, str) or not form.fullmatch(self.raw):
            raise self.wrong(f"expected {expected}")
        return self.raw

    def integer(self, first: int, last: int) -> int:
        """Return an integer from `first` to `last`. 1.0 and true are refused."""
        if type(self.raw) is not int or not first <= self.raw <= last:
            raise self.wrong(f"expected an integer from {first} to {last}")
        return self.raw

    def wrong(self, problem: str, *, shown: bool = True) -> RecordError:
        """Return the error for an invalid value; `shown` adds the value itself, in ASCII and truncated."""
        found = ""
        if shown and isinstance(self.raw, str | int | float | None):
            text = ascii(self.raw)
            found = f", not {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"
        return self.document.error(f"{self.place or 'the document'}: {problem}{found}.")

    def _member(self, name: str, raw: Any = None) -> JsonValue:
        shown = name if name.isascii() and name.isidentifier() and len(name) <= _SHOWN else ascii(name)[:_SHOWN]
        return JsonValue(raw, f"{self.place}.{shown}".removeprefix("."), self.document)


def load(data: bytes, document: JsonDocument) -> JsonValue:
    """Parse a whole document. Raises RecordError if it is not JSON in UTF-8, or exceeds `LARGEST` or `MOST`."""
    if len(data) > LARGEST:
        raise document.error(f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    openings = data.count(b"{") + data.count(b"[")
    if openings > MOST or data.count(b",") > MOST * _SCALARS_EACH:
        raise document.error(f"It has more than {MOST} entries.")
    try:
        return JsonValue(parse(data), "", document)
    except ValueError as error:
        raise document.error(str(error)) from None
