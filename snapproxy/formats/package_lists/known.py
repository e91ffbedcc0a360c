"""The known formats, and the recognition of a list by its content."""

from __future__ import annotations

from snapproxy.formats.package_lists.apk_info import APK_INFO
from snapproxy.formats.package_lists.apk_installed import APK_INSTALLED
from snapproxy.formats.package_lists.apk_query import APK_QUERY
from snapproxy.formats.package_lists.apko_lock import APKO_LOCK
from snapproxy.formats.package_lists.arch_buildinfo import ARCH_BUILDINFO
from snapproxy.formats.package_lists.dnf_manifest import DNF_MANIFEST
from snapproxy.formats.package_lists.konflux_lock import KONFLUX_LOCK
from snapproxy.formats.package_lists.model import LARGEST, MOST_ENTRIES, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.pacman_local import PACMAN_LOCAL
from snapproxy.formats.package_lists.pacman_query import PACMAN_QUERY
from snapproxy.formats.package_lists.rpm_ostree_lock import RPM_OSTREE_LOCK
from snapproxy.formats.package_lists.rpm_query import RPM_QUERY

FORMATS: tuple[ListFormat, ...] = (
    DNF_MANIFEST,
    KONFLUX_LOCK,
    APKO_LOCK,
    RPM_OSTREE_LOCK,
    APK_QUERY,
    PACMAN_LOCAL,
    ARCH_BUILDINFO,
    APK_INSTALLED,
    APK_INFO,
    RPM_QUERY,
    PACMAN_QUERY,
)
"""All formats, in the order in which they are tried: the ones with an unmistakable beginning first."""


def read_list(data: bytes, formats: tuple[ListFormat, ...] = FORMATS) -> PackageList:
    """Return the list that `data` contains, read by the first format that accepts it.

    Raises ListFormatError. If no format is recognised, its message has the place at which each one failed.
    """
    if len(data) > LARGEST:
        raise ListFormatError("", f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    failures = []
    for each in formats:
        try:
            found = each.read(data)
        except ListFormatError as error:
            if error.is_recognised:
                raise
            failures.append(f"{each.name}: {error.why}")
            continue
        if len(found.entries) > MOST_ENTRIES:
            raise ListFormatError("", f"It has {len(found.entries)} entries; the maximum is {MOST_ENTRIES}.")
        return found
    raise ListFormatError("", "It has none of the known forms.\n" + "\n".join(f"  {line}" for line in failures))
