"""The package managers, one room each: paths, indexes, package checks and client behaviour of a family."""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.client_cache import ClientCache, RepositoryCache
from snapproxy.core.listing import Lister
from snapproxy.core.model import Family
from snapproxy.families.apk import APK
from snapproxy.families.apk.client_cache import APK_CACHE
from snapproxy.families.apk.listing import APK_LISTER
from snapproxy.families.apt import APT
from snapproxy.families.apt.client_cache import APT_CACHE
from snapproxy.families.apt.listing import APT_LISTER
from snapproxy.families.pacman import PACMAN
from snapproxy.families.pacman.client_cache import PACMAN_CACHE
from snapproxy.families.pacman.listing import PACMAN_LISTER
from snapproxy.families.rpm import RPM
from snapproxy.families.rpm.client_cache import DNF_CACHE
from snapproxy.families.rpm.listing import RPM_LISTER

FAMILIES: Mapping[str, Family] = {family.name: family for family in (APT, PACMAN, APK, RPM)}
"""Every family, by the name that the archive table uses. Add a new family here."""

LISTERS: Mapping[str, Lister] = {"apk": APK_LISTER, "apt": APT_LISTER, "pacman": PACMAN_LISTER, "rpm": RPM_LISTER}
"""The readers of package lists, by family name."""

CLIENT_CACHES: Mapping[str, ClientCache] = {"apk": APK_CACHE, "apt": APT_CACHE, "pacman": PACMAN_CACHE}
"""Layouts of the client caches that keep all packages in one folder, by family name."""

REPOSITORY_CACHES: Mapping[str, RepositoryCache] = {"rpm": DNF_CACHE}
"""Layouts of the client caches that have a folder for each repository, named after the client's settings."""
