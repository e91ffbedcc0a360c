"""The forms of names, versions and architectures in lists of Debian packages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from snapproxy.formats.package_lists.model import ListEntry, ListFormatError
from snapproxy.formats.package_lists.name_forms import APK_VERSION
from snapproxy.formats.package_lists.text_lines import quoted

# Policy 5.6.7 and 5.6.12, deb-version(7). dpkg warns of an upstream version that does not begin with a digit, and no
# package of Debian or Ubuntu has one.
DEB_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
DEB_VERSION = re.compile(r"(?:[0-9]{1,10}:)?[0-9][A-Za-z0-9.+:~-]*")
DEB_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")

LONGEST_NAME = 256
"""Maximum length of a name, a version or an architecture, in characters."""


def deb_entry(place: str, name: str, version: str, architecture: str = "", *, is_recognised: bool = False) -> ListEntry:
    """Return the entry of a package; `architecture` is '' if the list states none. Raises ListFormatError."""
    words = ((name, DEB_NAME, "name"), (version, DEB_VERSION, "version"), (architecture or "all", DEB_ARCHITECTURE, ""))
    for value, form, what in words:
        if len(value) > LONGEST_NAME or not form.fullmatch(value):
            why = f"Expected the {what or 'architecture'} of a Debian package, not {quoted(value)}."
            raise ListFormatError(place, why, is_recognised=is_recognised)
    return ListEntry(place, family="apt", name=name, version=version, architecture=architecture)


def refuse_apk_pins(entries: Iterable[ListEntry]) -> None:
    """Raise ListFormatError if every version is one of apk (`-r0`): /etc/apk/world pins packages as `name=version`."""
    versions = [entry.version for entry in entries]
    if versions and all(APK_VERSION.fullmatch(version) for version in versions):
        raise ListFormatError("", "All versions are of the form of apk (-r0), not of dpkg.")
