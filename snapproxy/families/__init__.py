"""The package managers, one package each: paths, indexes, package checks and client behaviour of a family."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar, cast

from snapproxy.core.client_cache import ClientCache, RepositoryCache
from snapproxy.core.listing import Lister
from snapproxy.core.model import Family
from snapproxy.families.apk import APK
from snapproxy.families.apt import APT
from snapproxy.families.pacman import PACMAN
from snapproxy.families.rpm import RPM

T = TypeVar("T")


class _ImportedOnDemand(Mapping[str, T], Generic[T]):
    """One value for each family, whose module is imported when the value is first read.

    For values that few commands need and whose modules import large libraries: a lister compares versions by univers.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, family: str) -> T:
        module, _, name = self._places[family].partition(":")
        return cast("T", getattr(importlib.import_module(f"{__name__}.{module}"), name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


FAMILIES: Mapping[str, Family] = {family.name: family for family in (APT, PACMAN, APK, RPM)}
"""Every family, by the name that the archive table uses. Add a new family here."""

LISTERS: Mapping[str, Lister] = _ImportedOnDemand(
    {
        "apk": "apk.listing:APK_LISTER",
        "apt": "apt.listing:APT_LISTER",
        "pacman": "pacman.listing:PACMAN_LISTER",
        "rpm": "rpm.listing:RPM_LISTER",
    }
)
"""The readers of package lists, by family name."""

CLIENT_CACHES: Mapping[str, ClientCache] = _ImportedOnDemand(
    {
        "apk": "apk.client_cache:APK_CACHE",
        "apt": "apt.client_cache:APT_CACHE",
        "pacman": "pacman.client_cache:PACMAN_CACHE",
    }
)
"""Layouts of the client caches that keep all packages in one folder, by family name."""

REPOSITORY_CACHES: Mapping[str, RepositoryCache] = _ImportedOnDemand({"rpm": "rpm.client_cache:DNF_CACHE"})
"""Layouts of the client caches that have a folder for each repository, named after the client's settings."""

LIST_CACHES: Mapping[str, RepositoryCache] = _ImportedOnDemand({"apt": "apt.client_lists:APT_LISTS"})
"""Layouts of package lists that are named after the client's settings, apart from packages, by family name."""
