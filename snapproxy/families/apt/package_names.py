"""Parse the file names of Debian's pool: `name_version_arch.deb`, and `name_version.dsc` for a source package."""

from __future__ import annotations

import re

from snapproxy.core.package_name import PackageName

# Debian policy, sections 5.6.1 and 5.6.12; some third parties use upper case. A version begins with a digit: in a name
# like `chrome-stable_current_amd64.deb` there is no version. Pool names omit the epoch; apt's cache and some
# repositories escape its colon.
_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)_(?P<version>(?:[0-9]+(?:%3[aA]|:))?[0-9][A-Za-z0-9.+~-]*)"
_BINARY = re.compile(_NAME + r"_(?P<arch>[a-z0-9-]+)\.(?:deb|udeb|ddeb)")
_SOURCE = re.compile(_NAME + r"\.dsc")


def package_name(path: str) -> PackageName | None:
    """Return the package name for the path of a package; None for other files and for names without a version."""
    file = path.rpartition("/")[2]
    found = _BINARY.fullmatch(file) or _SOURCE.fullmatch(file)
    if found is None:
        return None
    version = re.sub("%3a", ":", found["version"], flags=re.IGNORECASE)
    return PackageName(found["name"], version, found.groupdict().get("arch", "source"))
