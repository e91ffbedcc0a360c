"""Reads package names off apk's file names: `name-version-rN.apk`, in a folder named after the architecture."""

from __future__ import annotations

import re

from snapproxy.core.packages import PackageName

# abuild's names and versions (APKBUILD(5)): a version begins with a digit and holds no hyphen but the one before its release.
_PACKAGE = re.compile(
    r"(?:.*/)?(?P<arch>[a-z0-9_]+)/(?P<name>[A-Za-z0-9_][A-Za-z0-9._+-]*)-(?P<version>[0-9][^-/\s]*-r[0-9]+)\.apk"
)


def package_name(path: str) -> PackageName | None:
    """Return what the path of a package says; None for whatever is no package, or lies in no folder.

    A package for every architecture (`noarch`) lies in the folder of each, and is said to be of that one.
    """
    found = _PACKAGE.fullmatch(path)
    return PackageName(found["name"], found["version"], found["arch"]) if found else None
