"""One file per package manager: how it names, promises and checks files, and what its client insists on."""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.model import Family
from snapproxy.families.apk import APK
from snapproxy.families.apt import APT
from snapproxy.families.pacman import PACMAN
from snapproxy.families.rpm import RPM

FAMILIES: Mapping[str, Family] = {family.name: family for family in (APT, PACMAN, APK, RPM)}
"""Every family, by the name that archive rows use. A new one is added here, by hand."""
