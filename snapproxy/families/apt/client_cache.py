"""The layout of apt's package cache: /var/cache/apt/archives.

A file is named after the name, version and architecture in the index (apt-pkg/acquire-item.cc).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.core.client_cache import ClientCache
from snapproxy.core.expected_files import DroppedEntries
from snapproxy.families.apt.listing import APT_LISTER

_FILE = re.compile(r"[A-Za-z0-9.+~%_-]{1,200}")


class AptCache:
    """apt's cache; implements `core.client_cache.ClientCache`.

    File names in a pool omit the epoch; file names in the cache contain it, with the colon as %3a.
    """

    folder = "var/cache/apt/archives"

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        for package in APT_LISTER.packages(path, data, DroppedEntries().add):
            _, colon, version = package.version.partition(":")
            if colon:
                quoted = package.version.replace(":", "%3a")
                file, cached = (f"{package.name}_{each}_{package.architecture}.deb" for each in (version, quoted))
                if _FILE.fullmatch(cached):
                    yield file, cached


APT_CACHE: ClientCache = AptCache()
