"""Read a SHA256SUMS of packages: repro-get's, and those that snapproxy writes, with and without titles.

A line has a SHA-256, a space, a second space or `*`, and the path of a file. repro-get's paths are relative to the
archive of the family: `pool/main/h/hello/...deb`, `v3.16/main/x86_64/...apk`, `n/neofetch/...pkg.tar.zst`,
`<source>/<version>/<release>/<architecture>/...rpm`. Titles are ARCHIVE/SNAPSHOT/PATH.
"""

from __future__ import annotations

import re
from dataclasses import replace

from snapproxy.formats.package_lists.file_names import is_service_title, named_entry, titled_entry
from snapproxy.formats.package_lists.model import ListedDigest, ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.text_lines import quoted, text_lines

NAME = "sha256sums"

# repro-get's reader: leading white space is trimmed, and the second separator may be absent.
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *]?(?P<path>[^ *].*)")


def read(data: bytes) -> PackageList:
    """Read the list. Signatures and indexes are entries as well; the family of an index is ''.

    A list without any package is refused: many other files have such checksums.
    """
    entries: list[ListEntry] = []
    answers = 0
    for number, line in text_lines(data):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        path = found["path"].removeprefix("./") if found else ""
        if found is None or not path or "\\" in path or ".." in path.split("/") or path.startswith("/"):
            why = f"Expected a SHA-256 in lower-case hex, two spaces and a relative path, not {quoted(text)}."
            raise ListFormatError(f"line {number}", why, is_recognised=bool(entries))
        if is_service_title(path):
            answers += 1
            continue
        entry = titled_entry(f"line {number}", path) or named_entry(f"line {number}", path)
        entries.append(replace(entry, digests=(ListedDigest("sha256", found["digest"]),)))
    if not any(entry.family for entry in entries):
        raise ListFormatError("", "It has no SHA-256 of a package.")
    notes = (f"Answers of snapshot services, which are no files, were left out: {answers}.",) if answers else ()
    return PackageList(NAME, tuple(entries), notes)


SHA256SUMS = ListFormat(NAME, "SHA256SUMS of packages: repro-get's, snapproxy's sha256sums and sha256sums-titled", read)
