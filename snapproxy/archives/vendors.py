"""The vendor of an archive in package URLs (the namespace: `debian` in `pkg:deb/debian/curl`).

Debian splits its archive by purpose, package URLs do not. An archive that is not listed has the vendor's name as its
own, or is defined by a user.
"""

from __future__ import annotations

from collections.abc import Mapping

_VENDORS: Mapping[str, str] = {
    "archlinux": "arch",  # the name in the definition of the purl type alpm
    "debian-archive": "debian",
    "debian-backports": "debian",
    "debian-debug": "debian",
    "debian-ports": "debian",
    "debian-security": "debian",
    "debian-volatile": "debian",
    "ubuntu-ports": "ubuntu",
}


def vendor_of(archive: str) -> str:
    """Return the vendor of an archive, or the name of an archive that is not built in."""
    return _VENDORS.get(archive, archive)
