"""Who publishes an archive, as package URLs name them (the namespace: `debian` in `pkg:deb/debian/curl`).

Debian splits its archive by purpose, package URLs do not. Where an archive's own name is the vendor's, or nobody's but its
owner's, nothing stands here.
"""

from __future__ import annotations

from collections.abc import Mapping

_VENDORS: Mapping[str, str] = {
    "archlinux": "arch",  # the purl type alpm's own word for it
    "debian-archive": "debian",
    "debian-backports": "debian",
    "debian-debug": "debian",
    "debian-ports": "debian",
    "debian-security": "debian",
    "debian-volatile": "debian",
    "ubuntu-ports": "ubuntu",
}


def vendor_of(archive: str) -> str:
    """Return the vendor of an archive; of one that is not built in, its name."""
    return _VENDORS.get(archive, archive)
