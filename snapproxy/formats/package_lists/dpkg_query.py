r"""Read the output of `dpkg-query -W`, or of `dpkg-query -W -f '${binary:Package}=${Version}\n'`.

Each line has `name[:architecture]`, a tab or `=`, and the version. dpkg states the architecture only of packages of
which several can be installed (Multi-Arch: same), and of foreign ones. It also lists packages that were removed with
their configuration files kept, without a difference.
"""

from __future__ import annotations

from snapproxy.formats.package_lists.deb_forms import DEB_NAME, deb_entry, refuse_apk_pins
from snapproxy.formats.package_lists.model import ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.text_lines import quoted, text_lines

NAME = "dpkg-query"


def read(data: bytes) -> PackageList:
    """Read the list. Packages without a version, which dpkg knows and has not installed, are left out with a note."""
    entries: list[ListEntry] = []
    absent, separator = 0, ""
    for number, line in text_lines(data, has_tabs=True):
        separator = separator or ("\t" if "\t" in line else "=")
        named, found, version = line.partition(separator)
        name, _, architecture = named.partition(":")
        if not found or not DEB_NAME.fullmatch(name):
            why = f"Expected NAME[:ARCHITECTURE], a tab or =, VERSION, not {quoted(line)}."
            raise ListFormatError(f"line {number}", why)
        if version:
            entries.append(deb_entry(f"line {number}", name, version, architecture))
        else:
            absent += 1
    if not entries:
        raise ListFormatError("", "It has no package with a version.")
    refuse_apk_pins(entries)
    notes = (f"Packages without a version, which are not installed, were left out: {absent}.",) if absent else ()
    return PackageList(NAME, tuple(entries), notes)


DPKG_QUERY = ListFormat(NAME, "the output of dpkg-query -W", read)
