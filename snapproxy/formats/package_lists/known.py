"""The known formats, and the recognition of a list by its content."""

from __future__ import annotations

from snapproxy.formats.package_lists.apk_info import APK_INFO
from snapproxy.formats.package_lists.apk_installed import APK_INSTALLED
from snapproxy.formats.package_lists.apk_query import APK_QUERY
from snapproxy.formats.package_lists.apko_lock import APKO_LOCK
from snapproxy.formats.package_lists.arch_buildinfo import ARCH_BUILDINFO
from snapproxy.formats.package_lists.cyclonedx import CYCLONEDX
from snapproxy.formats.package_lists.debian_buildinfo import DEBIAN_BUILDINFO
from snapproxy.formats.package_lists.debootsnap import DEBOOTSNAP
from snapproxy.formats.package_lists.dnf_manifest import DNF_MANIFEST
from snapproxy.formats.package_lists.dpkg_list import DPKG_LIST
from snapproxy.formats.package_lists.dpkg_query import DPKG_QUERY
from snapproxy.formats.package_lists.dpkg_status import DPKG_STATUS
from snapproxy.formats.package_lists.konflux_lock import KONFLUX_LOCK
from snapproxy.formats.package_lists.mkosi_manifest import MKOSI_MANIFEST
from snapproxy.formats.package_lists.model import LARGEST, MOST_ENTRIES, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.pacman_local import PACMAN_LOCAL
from snapproxy.formats.package_lists.pacman_query import PACMAN_QUERY
from snapproxy.formats.package_lists.provenance import PROVENANCE
from snapproxy.formats.package_lists.rpm_ostree_lock import RPM_OSTREE_LOCK
from snapproxy.formats.package_lists.rpm_query import RPM_QUERY
from snapproxy.formats.package_lists.rules_distroless import RULES_DISTROLESS
from snapproxy.formats.package_lists.sha256sums import SHA256SUMS
from snapproxy.formats.package_lists.spdx import SPDX, SPDX_TEXT
from snapproxy.formats.package_lists.syft import SYFT

FORMATS: tuple[ListFormat, ...] = (
    PROVENANCE,
    CYCLONEDX,
    SPDX,
    SYFT,
    MKOSI_MANIFEST,
    RULES_DISTROLESS,
    DNF_MANIFEST,
    KONFLUX_LOCK,
    APKO_LOCK,
    RPM_OSTREE_LOCK,
    APK_QUERY,
    DEBIAN_BUILDINFO,
    SPDX_TEXT,
    DPKG_STATUS,
    DPKG_LIST,
    PACMAN_LOCAL,
    ARCH_BUILDINFO,
    APK_INSTALLED,
    SHA256SUMS,
    DPKG_QUERY,
    APK_INFO,
    RPM_QUERY,
    PACMAN_QUERY,
    DEBOOTSNAP,
)
"""All formats, in the order in which they are tried: the ones with an unmistakable content first, the loosest last."""

_SHOWN = 160


def read_list(data: bytes, formats: tuple[ListFormat, ...] = FORMATS) -> PackageList:
    """Return the list that `data` contains, read by the first format that accepts it.

    Raises ListFormatError. If no format is recognised, its message has the place at which each one failed. A list that
    breaks the rules of the format that it has is reported with the name of that format.
    """
    if len(data) > LARGEST:
        raise ListFormatError("", f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    failures: dict[str, list[str]] = {}
    for each in formats:
        try:
            found = each.read(data)
        except ListFormatError as error:
            if error.is_recognised:
                raise ListFormatError(
                    error.place,
                    error.problem,
                    is_recognised=True,
                    hint=f"It was read as {each.name}: {each.description}.",
                ) from None
            failures.setdefault(error.why, []).append(each.name)
            continue
        if len(found.entries) > MOST_ENTRIES:
            raise ListFormatError("", f"It has {len(found.entries)} entries; the maximum is {MOST_ENTRIES}.")
        return found
    raise ListFormatError("", _unrecognised(failures))


def _unrecognised(failures: dict[str, list[str]]) -> str:
    """Return the message for a list of no known format: a line for each fault, with the formats that it excludes."""
    if not failures:
        return "It has none of the known forms."
    lines = [f"  {', '.join(names)}: {why[:_SHOWN]}" for why, names in failures.items()]
    return "\n".join(["It has none of the known forms. The first fault for each format:", *lines])
