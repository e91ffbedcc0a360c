"""Where apt keeps packages: /var/cache/apt/archives, by name, version and architecture as the index has them (apt-pkg/acquire-item.cc)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.families.apt.listing import APT_LISTER

_FILE = re.compile(r"[A-Za-z0-9.+~%_-]{1,200}")


class AptCacher:
    """apt's cache; fulfils `core.client_cache.Cacher`. Files in a pool lack the epoch, those in the cache have it, its colon as %3a."""

    folder = "var/cache/apt/archives"

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        for package in APT_LISTER.packages(path, data):
            _, colon, version = package.version.partition(":")
            if colon:
                quoted = package.version.replace(":", "%3a")
                file, cached = (f"{package.name}_{each}_{package.architecture}.deb" for each in (version, quoted))
                if _FILE.fullmatch(cached):
                    yield file, cached


APT_CACHER = AptCacher()
