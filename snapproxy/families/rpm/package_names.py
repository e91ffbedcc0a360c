"""Reads package names off rpm's file names: `name-version-release.arch.rpm`."""

from __future__ import annotations

import re

from snapproxy.core.package_name import PackageName

# rpm's own _build_name_fmt. Neither version nor release may hold a hyphen. An epoch is never part of the name.
_PACKAGE = re.compile(r"(?P<name>[^\s/]+)-(?P<version>[^-\s/]+-[^-\s/]+)\.(?P<arch>[a-z0-9_]+)\.rpm")


def package_name(path: str) -> PackageName | None:
    """Return what the name of a package's file says; None for whatever is no package, a delta (`.drpm`) included."""
    found = _PACKAGE.fullmatch(path.rpartition("/")[2])
    return PackageName(found["name"], found["version"], found["arch"]) if found else None
