"""Where pacman keeps packages: /var/cache/pacman/pkg, under their own names (pacman.conf(5), CacheDir)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class PacmanCacher:
    """pacman's cache; fulfils `core.client_cache.Cacher`."""

    folder = "var/cache/pacman/pkg"

    def names(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        return iter(())


PACMAN_CACHER = PacmanCacher()
