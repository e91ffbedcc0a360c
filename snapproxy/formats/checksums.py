"""Read checksum lists as sha256sum and md5sum write them: SHA256SUMS and MD5SUMS of an installer's images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.formats.digests import digest

MAX_LINE = 8192
"""Maximum bytes in a line: a digest and a path."""

# coreutils: the digest, a space, a second space or the `*` of binary mode, the name.
_LINE = re.compile(r"([0-9A-Fa-f]+) [ *](\S.*)")


def checksums(
    chunks: Iterable[bytes], algorithm: str, *, max_line: int = MAX_LINE, drop: Drop = refuse_entry
) -> Iterator[tuple[str, str]]:
    """Yield (name as written, digest in lower case) for each line that is not empty.

    Malformed lines are dropped, including coreutils' escaped names (with backslash or newline). Raises ArchiveDataError
    for a line that is too long.
    """
    for raw in _lines(chunks, max_line):
        line = raw.decode("utf-8", "replace").rstrip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            drop(ArchiveDataError("A checksum list has a malformed line", why=f"The line: {line[:140]!r}."))
            continue
        try:
            value = digest(algorithm, match[1])
        except ArchiveDataError as error:
            drop(error)
            continue
        yield match[2], value


def _lines(chunks: Iterable[bytes], max_line: int) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in (*lines, rest):
            if len(line) > max_line:
                raise ArchiveDataError("A line of the checksum list is too long", why=f"It has over {max_line} bytes.")
        yield from lines
    yield rest
