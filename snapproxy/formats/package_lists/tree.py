"""Read the members of a JSON or YAML document, with the place of each value for messages: `packages[3].name`.

`formats.strict_json` and `formats.strict_yaml` parse the documents. YAML's scalars are texts, numbers included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from snapproxy.formats import strict_json
from snapproxy.formats.digests import HEX_LENGTH, is_digest
from snapproxy.formats.package_lists.model import LARGEST, ListedDigest, ListFormatError
from snapproxy.formats.strict_json import Members
from snapproxy.formats.strict_yaml import YamlError, documents

LONGEST = 4096
"""Maximum length of a text in characters; the longest known are addresses."""

MOST_VALUES = 3_000_000
"""Maximum number of values of a JSON document, counted by its commas. A list of files for each package has most."""

_SHOWN = 60
_NUMBER = re.compile(r"[0-9]{1,18}")
_LARGEST_NUMBER = 10**18
# A control character, a space, a line separator or half a surrogate pair is part of no name, version or address.
_WORD = re.compile(r"[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class TreeValue:
    """A value and its place. Its methods raise ListFormatError, as an error within a recognised list."""

    raw: Any
    place: str = ""

    def member(self, name: str) -> TreeValue:
        """Return a member of a mapping. It must exist and not be null."""
        found = self.optional(name)
        if found is None:
            raise self._at(name).wrong("It is missing.")
        return found

    def optional(self, name: str) -> TreeValue | None:
        """Return a member of a mapping, None if it does not exist or is null."""
        raw = self._mapping().get(name)
        return None if raw is None else self._at(name, raw)

    def members(self) -> Iterator[tuple[str, TreeValue]]:
        """Yield the members of a mapping, with their keys."""
        for name, raw in self._mapping().items():
            yield name, self._at(name, raw)

    def items(self) -> Iterator[TreeValue]:
        """Yield the items of a list."""
        if not isinstance(self.raw, list):
            raise self.wrong("Expected a list.")
        for at, raw in enumerate(self.raw):
            yield TreeValue(raw, f"{self.place}[{at}]")

    def word(self) -> str:
        """Return a text without spaces and control characters, with at most `LONGEST` characters."""
        if not isinstance(self.raw, str) or len(self.raw) > LONGEST or not _WORD.fullmatch(self.raw):
            raise self.wrong(f"Expected a text without spaces{self._shown()}.")
        return self.raw

    def matching(self, form: re.Pattern[str], expected: str) -> re.Match[str]:
        """Return the match of a word with a form; `expected` describes the form."""
        found = form.fullmatch(self.word())
        if found is None:
            raise self.wrong(f"Expected {expected}{self._shown()}.")
        return found

    def number(self) -> int:
        """Return a number of at most 18 digits; YAML has it as a text."""
        if type(self.raw) is int and 0 <= self.raw < _LARGEST_NUMBER:
            return self.raw
        if isinstance(self.raw, str) and _NUMBER.fullmatch(self.raw):
            return int(self.raw)
        raise self.wrong(f"Expected a number{self._shown()}.")

    def word_of(self, name: str) -> str:
        """Return a member of a mapping that is a word, '' if it is empty, null or missing."""
        found = self.optional(name)
        return "" if found is None or found.raw == "" else found.word()

    def sha256(self) -> ListedDigest:
        """Return the SHA-256 of a file from hex digits."""
        value = self.word().lower()
        if not is_digest("sha256", value):
            raise self.wrong(f"Expected a SHA-256 in hex{self._shown()}.")
        return ListedDigest("sha256", value)

    def digest(self) -> ListedDigest:
        """Return the digest of a file from `algorithm:hex`."""
        algorithm, _, value = self.word().lower().partition(":")
        if not is_digest(algorithm, value):
            known = ", ".join(HEX_LENGTH)
            raise self.wrong(f"Expected a checksum ALGORITHM:HEX with one of {known}{self._shown()}.")
        return ListedDigest(algorithm, value)

    def address(self) -> str:
        """Return an address, decoded once; '' for a scheme other than http and https."""
        text = self.word()
        try:
            parts = urlsplit(text)
            decoded = unquote(text, errors="strict")
        except ValueError:
            raise self.wrong(f"Expected an address{self._shown()}.") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return ""
        return TreeValue(decoded, self.place).word()

    def path(self) -> str:
        """Return a relative address, decoded once."""
        try:
            return TreeValue(unquote(self.word(), errors="strict"), self.place).word()
        except UnicodeDecodeError:
            raise self.wrong(f"Expected a path{self._shown()}.") from None

    def wrong(self, why: str) -> ListFormatError:
        """Return the error for this value."""
        return ListFormatError(self.place or "the document", why, is_recognised=True)

    def _mapping(self) -> dict[str, Any]:
        if not isinstance(self.raw, dict):
            raise self.wrong("Expected a mapping of keys to values.")
        if isinstance(self.raw, Members) and self.raw.repeated is not None:
            raise self._at(self.raw.repeated).wrong("The key occurs twice.")
        return self.raw

    def _at(self, name: str, raw: Any = None) -> TreeValue:
        shown = name if name.isascii() and name.isprintable() and len(name) <= _SHOWN else ascii(name)[:_SHOWN]
        return TreeValue(raw, f"{self.place}.{shown}".removeprefix("."))

    def _shown(self) -> str:
        if not isinstance(self.raw, str | int | float):
            return ""
        text = ascii(self.raw)[: _SHOWN + 1]
        return f", not {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"


def read_json(data: bytes) -> Any:
    """Parse a JSON document. Raises ListFormatError for other data."""
    if len(data) > LARGEST:
        raise ListFormatError("", f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    if data.lstrip(b" \t\r\n")[:1] not in {b"{", b"["}:
        raise ListFormatError("", "It is not a JSON object or array.")
    if data.count(b"{") + data.count(b"[") > strict_json.MOST or data.count(b",") > MOST_VALUES:
        raise ListFormatError("", f"It has more than {strict_json.MOST} objects or {MOST_VALUES} values.")
    try:
        return strict_json.parse(data)
    except ValueError as error:
        raise ListFormatError("", str(error)) from None


def read_yaml(data: bytes, word: bytes, *, is_unmistakable: bool = True) -> tuple[Any, ...]:
    """Parse YAML documents that contain `word`. Raises ListFormatError.

    The word is searched for first, so that lists of other formats are not parsed as YAML. `is_unmistakable`: with this
    word it is a list of the format, even if its YAML is not valid.
    """
    if word not in data:
        raise ListFormatError("", f"The word {word.decode()!r} does not occur in it.")
    try:
        return documents(data)
    except YamlError as error:
        raise ListFormatError(f"line {error.line}", error.why, is_recognised=is_unmistakable) from None
