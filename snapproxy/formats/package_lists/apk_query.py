"""Read the output of `apk query --format json --installed '*'` of apk 3.

apk prints no digest there: it accepts the field `hash`, prints nothing for it and exits 1 (apk-tools 3.0.6).
"""

from __future__ import annotations

import re

from snapproxy.formats.package_lists.apk_info import virtual_note
from snapproxy.formats.package_lists.model import MOST_ENTRIES, ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import APK_NAME, APK_VERSION, APK_VIRTUAL
from snapproxy.formats.package_lists.tree import TreeValue, read_json

NAME = "apk-query"

_ARCHITECTURE = re.compile(r"[a-z0-9_]+")


def read(data: bytes) -> PackageList:
    """Read the list. The first version must have apk's release (`-r0`), as lists of other tools do not."""
    document = TreeValue(read_json(data), "packages")
    if not isinstance(document.raw, list) or not document.raw or len(document.raw) > MOST_ENTRIES:
        raise ListFormatError("", "It is not an array of packages.")
    first = document.raw[0]
    version = first.get("version") if isinstance(first, dict) and isinstance(first.get("name"), str) else None
    if not isinstance(version, str) or not (APK_VERSION.fullmatch(version) or APK_VIRTUAL.fullmatch(first["name"])):
        raise ListFormatError("packages[0]", "It has no name with a version of apk.")
    packages = [each for each in document.items() if not APK_VIRTUAL.fullmatch(each.member("name").word())]
    if not packages:
        raise ListFormatError("", "It has no package with a file.")
    return PackageList(NAME, tuple(_entry(each) for each in packages), virtual_note(len(document.raw) - len(packages)))


def _entry(package: TreeValue) -> ListEntry:
    size, architecture = package.optional("file-size"), package.optional("arch")
    address = package.optional("download-url")
    return ListEntry(
        package.place,
        family="apk",
        name=package.member("name").matching(APK_NAME, "a name of apk")[0],
        version=package.member("version").matching(APK_VERSION, "a version of apk")[0],
        architecture=architecture.matching(_ARCHITECTURE, "an architecture")[0] if architecture else "",
        url=address.address() if address else "",
        size=size.number() if size else None,
    )


APK_QUERY = ListFormat(NAME, "the output of apk query --format json --installed '*'", read)
