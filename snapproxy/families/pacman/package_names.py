"""Parse the file names of pacman's packages: `name-[epoch:]version-release-arch.pkg.tar.zst`."""

from __future__ import annotations

import re

from snapproxy.core.package_name import PackageName
from snapproxy.families.pacman.paths import PACKING

# PKGBUILD(5): a name has no space and begins with neither hyphen nor dot; version and release contain no hyphen.
_PACKAGE = re.compile(
    r"(?P<name>[A-Za-z0-9@_+][A-Za-z0-9@._+-]*)-(?P<version>(?:[0-9]+:)?[^-:\s]+-[0-9.]+)"
    r"-(?P<arch>[A-Za-z0-9_]+)\.pkg\.tar" + PACKING
)


def package_name(path: str) -> PackageName | None:
    """Return the package name for the path of a package; None for other files, including a package's signature."""
    found = _PACKAGE.fullmatch(path.rpartition("/")[2])
    return PackageName(found["name"], found["version"], found["arch"]) if found else None
