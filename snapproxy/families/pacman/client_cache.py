"""The layout of pacman's package cache: /var/cache/pacman/pkg, unchanged file names (pacman.conf(5), CacheDir)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.client_cache import ClientCache


class PacmanCache:
    """pacman's cache; implements `core.client_cache.ClientCache`."""

    folder = "var/cache/pacman/pkg"

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        return iter(())


PACMAN_CACHE: ClientCache = PacmanCache()
