r"""Read the output of `rpm -qa`, or of `rpm -qa --qf '%{NEVRA}\n'`: `name-[epoch:]version-release.arch` on each line.

The default output has no epoch, so that of an entry is then not known to be 0.
"""

from __future__ import annotations

import re

from snapproxy.formats.package_lists.model import ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import rpm_name
from snapproxy.formats.package_lists.text_lines import quoted, text_lines

NAME = "rpm-query"

# A key that was imported into rpm's database is listed as a package without an architecture.
_KEY = re.compile(r"gpg-pubkey-(?:[0-9]+:|\(none\):)?[0-9a-f]{8,40}-[0-9a-f]{8}(?:\.\(none\))?")


def read(data: bytes) -> PackageList:
    """Read the list. Imported keys are dropped with a note."""
    entries, keys = [], 0
    for number, line in text_lines(data):
        if _KEY.fullmatch(line):
            keys += 1
            continue
        found = rpm_name(line)
        if found is None:
            why = f"Expected NAME-[EPOCH:]VERSION-RELEASE.ARCHITECTURE of rpm, not {quoted(line)}."
            raise ListFormatError(f"line {number}", why)
        place = f"line {number}"
        name, version, architecture = found.name, found.version, found.architecture
        entries.append(ListEntry(place, family="rpm", name=name, version=version, architecture=architecture))
    if not entries:
        raise ListFormatError("", "It has no package.")
    notes = (f"Imported keys (gpg-pubkey) were left out: {keys}.",) if keys else ()
    return PackageList(NAME, tuple(entries), notes)


RPM_QUERY = ListFormat(NAME, "the output of rpm -qa, also with %{NEVRA}", read)
