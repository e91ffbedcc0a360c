"""Reads package names off apk's file names: `name-version-rN.apk`, in or below a folder named after the architecture."""

from __future__ import annotations

import re

from snapproxy.core.package_name import PackageName
from snapproxy.families.apk.architectures import ARCHITECTURES, NOARCH

# abuild's names and versions (APKBUILD(5)): a version begins with a digit and holds no hyphen but the one before its release.
_PACKAGE = re.compile(
    r"(?P<folders>(?:.*/)?(?P<last>[a-z0-9_]+))/(?P<name>[A-Za-z0-9_][A-Za-z0-9._+-]*)-(?P<version>[0-9][^-/\s]*-r[0-9]+)\.apk"
)


def package_name(path: str) -> PackageName | None:
    """Return what the path of a package says; None for whatever is no package, or lies in no folder.

    A package for every architecture (`noarch`) lies in the folder of each, and is said to be of that one; in version 3 it has a folder of
    its own. Where there is a folder of a known architecture, an index may have put others below it; else the last one counts.
    """
    found = _PACKAGE.fullmatch(path)
    if found is None:
        return None
    folders = reversed(found["folders"].split("/"))
    arch = next((each for each in folders if each in ARCHITECTURES or each == NOARCH), found["last"])
    return PackageName(found["name"], found["version"], arch)
