"""Parse the paths of apk's packages: `name-version-rN.apk`, in or below a folder named after the architecture."""

from __future__ import annotations

import re

from snapproxy.core.package_name import PackageName
from snapproxy.families.apk.architectures import ARCHITECTURES, NOARCH

# abuild's names and versions (APKBUILD(5)): a version begins with a digit and has no hyphen except before its release.
_PACKAGE = re.compile(
    r"(?P<folders>(?:.*/)?(?P<last>[a-z0-9_]+))/(?P<name>[A-Za-z0-9_][A-Za-z0-9._+-]*)"
    r"-(?P<version>[0-9][^-/\s]*-r[0-9]+)\.apk"
)


def package_name(path: str) -> PackageName | None:
    """Return the package name for the path of a package; None for other files and for packages in the top folder.

    In version 2, a package for every architecture (`noarch`) is in the folder of each of them, and that folder's name
    is returned as its architecture; in version 3 there is a folder `noarch`. The architecture is the last folder with
    the name of a known architecture, because the pattern of an index may add folders below it; otherwise the last
    folder.
    """
    found = _PACKAGE.fullmatch(path)
    if found is None:
        return None
    folders = reversed(found["folders"].split("/"))
    arch = next((each for each in folders if each in ARCHITECTURES or each == NOARCH), found["last"])
    return PackageName(found["name"], found["version"], arch)
