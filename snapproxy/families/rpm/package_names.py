"""Parse the file names of rpm's packages: `name-version-release.arch.rpm`."""

from __future__ import annotations

import re

from snapproxy.core.package_name import PackageName

# rpm's _build_name_fmt. Version and release cannot contain a hyphen. An epoch is never part of the file name.
_PACKAGE = re.compile(r"(?P<name>[^\s/]+)-(?P<version>[^-\s/]+-[^-\s/]+)\.(?P<arch>[a-z0-9_]+)\.rpm")


def package_name(path: str) -> PackageName | None:
    """Return the package name for the path of a package; None for other files, including a delta (`.drpm`)."""
    found = _PACKAGE.fullmatch(path.rpartition("/")[2])
    return PackageName(found["name"], found["version"], found["arch"]) if found else None
