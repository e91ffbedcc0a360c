"""The layout of apk's package cache: /etc/apk/cache, `name-version.DIGITS.apk` (apk-cache(5)).

DIGITS are the first eight hex digits of the package's identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.client_cache import ClientCache
from snapproxy.core.expected_files import DroppedEntries, identity
from snapproxy.families.apk import APK

_DIGITS = 8


class ApkCache:
    """apk's cache; implements `core.client_cache.ClientCache`."""

    folder = "etc/apk/cache"

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        dropped = DroppedEntries()
        for name, expected in list(APK.read_index(path, data, dropped.add)):
            package_identity = identity(expected)
            if package_identity is not None and name not in dropped.paths:
                file = name.rsplit("/", 1)[-1].removesuffix(".apk")
                yield name, f"{file}.{package_identity[1][:_DIGITS]}.apk"


APK_CACHE: ClientCache = ApkCache()
