"""Read deb822: stanzas of `Field: value` lines, as in Release, Packages, Sources and pdiff Index (deb822(5)).

The parser is designed for a Packages file of 65 MB in a helper process: it keeps one stanza in memory, splits bytes
rather than lines, and parses only the wanted fields. Callers decompress the file and interpret the fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry

MAX_LINE = 1 << 20
"""Maximum bytes in a line; in Debian the maximum is about 40 KB (linux's Binary field)."""
MAX_STANZA = 16 << 20
"""Maximum bytes in a stanza; a Release has about 300 KB."""
MAX_FIELDS = 500
"""Maximum number of fields in a stanza; a Sources entry has about 30."""

# Policy 5.1: printable ASCII except colon, not beginning with `#` or `-`.
_ANY_NAME = rb'[!"$-,.-9;-~][!-9;-~]*'


def stanzas(
    chunks: Iterable[bytes],
    *,
    wanted: Collection[str] | None = None,
    max_line: int = MAX_LINE,
    max_stanza: int = MAX_STANZA,
    max_fields: int = MAX_FIELDS,
    drop: Drop = refuse_entry,
) -> Iterator[dict[str, str]]:
    """Yield each stanza that is not empty as {field name in lower case: value}.

    Names are lower-cased because they are case-insensitive. White space around a value is removed; its continuation
    lines follow unchanged after newlines. Bytes that are not UTF-8 become U+FFFD: old descriptions are Latin-1, but
    file names never are. With `wanted` (names in lower case) other fields are skipped without parsing, so errors inside
    them are not detected; a stanza without any wanted field is an empty dict.

    A stanza that has a field twice is dropped: parsers differ in which one they use. Lines may end with CR LF, as in
    repositories that are made on Windows. Raises ArchiveDataError if a bound is exceeded.
    """
    name = _ANY_NAME if wanted is None else b"|".join(re.escape(field.encode()) for field in sorted(wanted))
    # A field begins after a newline; its value continues on lines that begin with white space. Possessive quantifiers
    # prevent backtracking.
    fields = re.compile(rb"\n(" + name + rb"):([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE)
    for stanza in _split(chunks, max_stanza):
        if len(stanza) > max_line and any(len(line) > max_line for line in stanza.split(b"\n")):
            raise ArchiveDataError("A line of the index is too long", why=f"It has more than {max_line} bytes.")
        found = fields.findall(b"\n" + stanza)
        if len(found) > max_fields:
            raise ArchiveDataError("An entry of the index has too many fields", why=f"It has more than {max_fields}.")
        record = {key.lower().decode("ascii"): value.strip().decode("utf-8", "replace") for key, value in found}
        if len(record) < len(found):
            drop(ArchiveDataError("An entry of the index has a duplicate field", why=f"Its fields: {sorted(record)}."))
            continue
        yield record


def _split(chunks: Iterable[bytes], max_stanza: int) -> Iterator[bytes]:
    """Split the stream at its empty lines."""
    rest = b""
    for chunk in _without_carriage_returns(chunks):
        complete, blank, rest = (rest + chunk).rpartition(b"\n\n")
        if blank:
            yield from _checked(complete.split(b"\n\n"), max_stanza)
        if len(rest) > max_stanza:
            raise _too_large(max_stanza)
    yield from _checked([rest], max_stanza)


def _without_carriage_returns(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the stream with every CR LF replaced by a newline."""
    held = b""
    for chunk in chunks:
        data = held + chunk if held else chunk
        held = b"\r" if data.endswith(b"\r") else b""
        yield data.removesuffix(b"\r").replace(b"\r\n", b"\n") if b"\r" in data else data
    yield held


def _checked(stanzas: list[bytes], max_stanza: int) -> Iterator[bytes]:
    for stanza in stanzas:
        if len(stanza) > max_stanza:
            raise _too_large(max_stanza)
        if stanza.strip(b"\n"):
            yield stanza


def _too_large(max_stanza: int) -> ArchiveDataError:
    return ArchiveDataError("An entry of the index is too large", why=f"It has more than {max_stanza} bytes.")
