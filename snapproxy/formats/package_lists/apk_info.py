"""Read apk's lists of installed packages: `apk info -v`, `apk info -vv` and `apk list --installed`.

`apk info -v` prints `name-version`, `-vv` adds ` - description`, `apk list` the architecture, the origin, the licence
and the state.
"""

from __future__ import annotations

import re

from snapproxy.formats.package_lists.model import ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import APK_VIRTUAL, apk_name
from snapproxy.formats.package_lists.text_lines import quoted, text_lines

NAME = "apk-info"

_LINE = re.compile(
    r"(?P<package>[^ ]+)(?: - .*|(?: (?P<arch>[a-z0-9_]+) \{[^{}]*\} \([^\[\]]*\) \[installed[^\[\]]*\]))?"
)


def read(data: bytes) -> PackageList:
    """Read the list. Virtual packages (`apk add --virtual`) are dropped with a note, because they have no file."""
    entries: list[ListEntry] = []
    virtual = 0
    for number, line in text_lines(_without_descriptions(data)):
        line_found = _LINE.fullmatch(line)
        package = line_found["package"] if line_found else ""
        if APK_VIRTUAL.fullmatch(package):
            virtual += 1
            continue
        found = apk_name(package)
        if line_found is None or found is None:
            raise ListFormatError(f"line {number}", f"Expected NAME-VERSION-rN of apk, not {quoted(line)}.")
        name, version = found
        architecture = line_found["arch"] or ""
        entries.append(ListEntry(f"line {number}", family="apk", name=name, version=version, architecture=architecture))
    if not entries:
        raise ListFormatError("", "It has no package.")
    return PackageList(NAME, tuple(entries), virtual_note(virtual))


def virtual_note(count: int) -> tuple[str, ...]:
    """Return the note about dropped virtual packages."""
    return (f"Virtual packages were left out, because they have no file: {count}.",) if count else ()


def _without_descriptions(data: bytes) -> bytes:
    """Remove descriptions, which may have any character."""
    return re.sub(rb"(?m)^([!-~]+) - [^\n\0]*$", rb"\1", data)


APK_INFO = ListFormat(NAME, "the output of apk info -v or apk list --installed", read)
